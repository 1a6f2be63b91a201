"""Opens a page to play with a generator: python scripts/demo.py --model=runs/digits"""

from common import main

main("demo")
