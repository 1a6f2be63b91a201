"""Trains a GAN: python scripts/train.py --preset=digits"""

from common import main

main("train")
