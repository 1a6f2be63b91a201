"""Draws samples: python scripts/generate.py --model=runs/digits --output=grid.png"""

from common import main

main("generate")
