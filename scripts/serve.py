"""Serves an export over HTTP: python scripts/serve.py --model=saved_models/digits"""

from common import main

main("serve")
