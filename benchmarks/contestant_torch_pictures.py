"""What contestant_torch.py has for pictures: networks, DiffAugment, R1, and weights.

The networks are those of `keras_gan.networks.dcgan` and `resnet`. Their layers are made
in the same order as there, by which `load` finds the weights of each.
"""

import contestant
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

# === Networks ===


def dcgan(size, width, is_spectral=False):
    normalized = parametrizations.spectral_norm if is_spectral else nn.Identity()
    widths = [width]
    while size > 4 * 2 ** len(widths):
        widths.append(min(2 * widths[-1], 8 * width))
    inputs = widths[-1]
    parts = [
        nn.Linear(contestant.LATENT_DIM, 16 * inputs, bias=False),
        *(nn.Unflatten(1, (inputs, 4, 4)), nn.BatchNorm2d(inputs), nn.ReLU()),
    ]
    for outputs in reversed(widths[:-1]):
        parts += [
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
            *(nn.BatchNorm2d(outputs), nn.ReLU()),
        ]
        inputs = outputs
    parts += [nn.ConvTranspose2d(inputs, 3, 4, 2, 1), nn.Tanh()]
    judges, inputs = [], 3
    for outputs in widths:
        judges += [normalized(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
        inputs = outputs
    judges += [nn.Flatten(), normalized(nn.Linear(16 * inputs, 1))]
    return nn.Sequential(*parts), nn.Sequential(*judges)


class GeneratorBlock(nn.Module):
    """Doubles the size."""

    def __init__(self, channels):
        super().__init__()
        self.branch = nn.Sequential(
            *(nn.BatchNorm2d(channels), nn.ReLU(), nn.Upsample(scale_factor=2)),
            *(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)),
            *(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.Upsample(scale_factor=2)
        )

    def forward(self, x):
        return self.shortcut(x) + self.branch(x)


class DiscriminatorBlock(nn.Module):
    """Halves the size, or keeps it."""

    def __init__(self, inputs, outputs, halves, is_first, normalized):
        super().__init__()
        pool = [nn.AvgPool2d(2)] if halves else []
        self.branch = nn.Sequential(
            *([] if is_first else [nn.ReLU()]),
            *(normalized(nn.Conv2d(inputs, outputs, 3, padding=1)), nn.ReLU()),
            *(normalized(nn.Conv2d(outputs, outputs, 3, padding=1)), *pool),
        )
        self.shortcut = nn.Identity()
        if halves:
            convolution = normalized(nn.Conv2d(inputs, outputs, 1))
            self.shortcut = nn.Sequential(*pool, convolution)

    def forward(self, x):
        return self.shortcut(x) + self.branch(x)


class SumOfPlaces(nn.Module):
    def forward(self, x):
        return x.sum((2, 3))


def resnet32(width, is_spectral=False):
    normalized = parametrizations.spectral_norm if is_spectral else nn.Identity()
    generator = nn.Sequential(
        nn.Linear(contestant.LATENT_DIM, 16 * width),
        nn.Unflatten(1, (width, 4, 4)),
        *(GeneratorBlock(width) for _ in range(3)),
        *(nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, 3, 3, padding=1), nn.Tanh()),
    )
    half = width // 2
    discriminator = nn.Sequential(
        DiscriminatorBlock(3, half, True, True, normalized),
        DiscriminatorBlock(half, half, True, False, normalized),
        DiscriminatorBlock(half, half, False, False, normalized),
        DiscriminatorBlock(half, half, False, False, normalized),
        *(nn.ReLU(), SumOfPlaces(), normalized(nn.Linear(half, 1))),
    )
    return generator, discriminator


def networks(case):
    is_spectral = case.addition == "spectral"
    if case.networks == "resnet32":
        return resnet32(case.width, is_spectral)
    size = contestant.SHAPES[case.networks][0]
    return dcgan(size, case.width, is_spectral)


# === What D's loss may have ===


def diffaugment(images):
    """DiffAugment with all its groups, for images `(m, C, H, W)` in (-1, 1).

    By the means of its authors' PyTorch version: a gather for the translation from
    images with a margin of zeros, a scatter of zeros for the cutout. Each call draws
    anew.
    """
    count, _, height, width = images.shape
    device = images.device
    draws = torch.rand(3, count, 1, 1, 1, device=device)
    images = images + (draws[0] - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * draws[1])
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * (0.5 + draws[2])

    image = torch.arange(count, device=device).view(-1, 1, 1)
    rows = torch.arange(height, device=device).view(1, -1, 1)
    columns = torch.arange(width, device=device).view(1, 1, -1)

    def whole(low, high):
        return torch.randint(low, high, (count, 1, 1), device=device)

    # Row and column 0 of the padded images are zeros, and so are the last.
    down, right = (int(side / 8 + 0.5) for side in (height, width))
    from_rows = (rows + whole(-down, down + 1) + 1).clamp(0, height + 1)
    from_columns = (columns + whole(-right, right + 1) + 1).clamp(0, width + 1)
    padded = functional.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    images = padded[image, from_rows, from_columns].permute(0, 3, 1, 2)

    high, wide = (int(side / 2 + 0.5) for side in (height, width))
    top = whole(0, height + 1 - high % 2) - high // 2
    left = whole(0, width + 1 - wide % 2) - wide // 2
    cut_rows = (rows[:, :high] + top).clamp(0, height - 1)
    cut_columns = (columns[:, :, :wide] + left).clamp(0, width - 1)
    kept = torch.ones(count, height, width, dtype=images.dtype, device=device)
    kept[image, cut_rows, cut_columns] = 0
    return images * kept.unsqueeze(1)


def logits_and_r1(discriminator, real, is_compiled):
    """D's logits of examples, and R1 from the same pass."""
    if is_compiled:
        # `torch.compile` traces the gradient's own gradient in this form only.
        def total(x):
            logits = discriminator(x)
            return logits.sum(), logits

        slopes, logits = torch.func.grad(total, has_aux=True)(real)
    else:
        real = real.detach().requires_grad_()
        logits = discriminator(real)
        (slopes,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    squares = slopes.square().sum((1, 2, 3))
    return logits, 0.5 * contestant.R1_GAMMA * squares.mean()


# === The same weights ===

_KINDS = {
    nn.Linear: "Dense",
    nn.Conv2d: "Conv2D",
    nn.ConvTranspose2d: "Conv2DTranspose",
    nn.BatchNorm2d: "BatchNormalization",
}


def load(network, arrays, prefix):
    """Gives a network the weights that contestant_tensorflow.py has written.

    Args:
        arrays: dict, "g.Dense.0.kernel" or the like to weights as Keras has them.
        prefix: "g" or "d".
    """
    modules = list(network.modules())
    # Between dense layers and images of 4x4 the order of the values differs.
    reshapes = any(isinstance(each, nn.Flatten | nn.Unflatten) for each in modules)
    places = 4 * 4 if reshapes else 1
    counts = dict.fromkeys(_KINDS.values(), 0)
    for module in modules:
        kind = _KINDS.get(type(module))
        if kind is None:
            continue
        name = f"{prefix}.{kind}.{counts[kind]}"
        counts[kind] += 1
        names = {"weight": "kernel", "bias": "bias"}
        if kind == "BatchNormalization":
            names = {"weight": "gamma", "bias": "beta"}
        for own, theirs in names.items():
            parameter = getattr(module, own)
            if parameter is None:
                continue
            value = arrays[f"{name}.{theirs}"]
            if value.ndim == 4:
                value = value.transpose(3, 2, 0, 1)
            elif kind == "Dense" and value.size > 1:
                features = value.shape[-1] if prefix == "g" else len(value)
                value = value.T.reshape(places, features // places, -1).swapaxes(0, 1)
            value = torch.from_numpy(np.ascontiguousarray(value))
            with torch.no_grad():
                parameter.copy_(value.view_as(parameter))
