"""Draws better samples by D: python scripts/resample.py --model=runs/digits"""

from common import main

main("resample")
