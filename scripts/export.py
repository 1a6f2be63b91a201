"""Publishes a generator for a server: python scripts/export.py --model=runs/digits"""

from common import main

main("export")
