"""Draws the paper's figures: python scripts/figures.py --model=runs/digits"""

from common import main

main("figures")
