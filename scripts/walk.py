"""Films a walk through the latents: python scripts/walk.py --model=runs/digits"""

from common import main

main("walk")
