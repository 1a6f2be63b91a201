"""Finds latents of pictures: python scripts/project.py --model=runs/digits"""

from common import main

main("project")
