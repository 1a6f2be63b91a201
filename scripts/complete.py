"""Completes pictures: python scripts/complete.py --model=runs/digits --mask=lower"""

from common import main

main("complete")
