"""Checks the propositions by numbers: python scripts/theory.py --output=runs/theory"""

from common import main

main("theory")
