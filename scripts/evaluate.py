"""Scores a run: python scripts/evaluate.py --model=runs/digits"""

from common import main

main("evaluate")
