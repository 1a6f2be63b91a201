"""Worker of train_step.py: the same networks and updates in PyTorch."""

import itertools

import contestant
import contestant_torch_pictures as pictures
import numpy as np
import torch
from torch import nn
from torch.nn import functional

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# For convolutional networks: TensorFlow's layout, in which convolutions are faster.
MEMORY_FORMAT = torch.channels_last


class Maxout(nn.Module):
    def __init__(self, inputs, units, pieces):
        super().__init__()
        self.linear = nn.Linear(inputs, units * pieces)
        self.pieces = pieces

    def forward(self, x):
        return self.linear(x).unflatten(1, (self.pieces, -1)).amax(1)


class MaxoutConv2d(nn.Module):
    def __init__(self, inputs, channels, kernel_size, padding, pool_size):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, channels * 2, kernel_size, padding=padding)
        self.pool = nn.MaxPool2d(pool_size, 2, ceil_mode=True)

    def forward(self, x):
        return self.pool(self.convolution(x).unflatten(1, (2, -1)).amax(1))


class UntiedBias(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x):
        return x + self.bias


def digits_mlp():
    latents = contestant.LATENT_DIM
    generator = nn.Sequential(
        *(nn.Linear(latents, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU()),
        *(nn.Linear(512, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))),
    )
    discriminator = nn.Sequential(
        *(nn.Flatten(), nn.Dropout(0.1), Maxout(64, 256, 5)),
        *(nn.Dropout(0.4), Maxout(256, 256, 5), nn.Dropout(0.4), nn.Linear(256, 1)),
    )
    return generator, discriminator


def mnist_mlp():
    latents = contestant.LATENT_DIM
    generator = nn.Sequential(
        *(nn.Linear(latents, 1200), nn.ReLU(), nn.Linear(1200, 1200), nn.ReLU()),
        *(nn.Linear(1200, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))),
    )
    discriminator = nn.Sequential(
        *(nn.Flatten(), nn.Dropout(0.2), Maxout(784, 240, 5)),
        *(nn.Dropout(0.5), Maxout(240, 240, 5), nn.Dropout(0.5), nn.Linear(240, 1)),
    )
    return generator, discriminator


def cifar_conv():
    latents = contestant.LATENT_DIM
    generator = nn.Sequential(
        *(nn.Linear(latents, 8000), nn.ReLU(), nn.Linear(8000, 8000), nn.Sigmoid()),
        *(nn.Unflatten(1, (80, 10, 10)), nn.ConvTranspose2d(80, 3, 5, 3, bias=False)),
        UntiedBias(3, 32, 32),
    )
    discriminator = nn.Sequential(
        *(nn.Dropout(0.2), MaxoutConv2d(3, 32, 8, 4, 4)),
        *(nn.Dropout(0.5), MaxoutConv2d(32, 32, 8, 3, 4)),
        *(nn.Dropout(0.5), MaxoutConv2d(32, 192, 5, 3, 2)),
        *(nn.Dropout(0.5), nn.Flatten(), Maxout(4800, 500, 5)),
        *(nn.Dropout(0.5), nn.Linear(500, 1)),
    )
    return generator, discriminator


NETWORKS = {
    "digits_mlp": digits_mlp,
    "mnist_mlp": mnist_mlp,
    "cifar_conv": cifar_conv,
    "conv64": lambda: pictures.dcgan(64, contestant.CONV64_CHANNELS[-1]),
}


def build_networks(case):
    """G and D on the device, in training."""
    is_picture = case.networks in contestant.WIDTHS
    pair = pictures.networks(case) if is_picture else NETWORKS[case.networks]()
    return [
        part.to(DEVICE, memory_format=MEMORY_FORMAT if is_picture else None).train()
        for part in pair
    ]


def count_parameters(network):
    """Parameters and buffers, as Keras counts them.

    But not PyTorch's counters of batches, and of spectral normalisation's two vectors
    only the one that this library keeps too.
    """
    values = [*network.named_parameters(), *network.named_buffers()]
    return sum(
        value.numel()
        for name, value in values
        if value.is_floating_point() and not name.endswith("._v")
    )


def build_optimizer(name, parameters, fused):
    arguments = contestant.OPTIMIZER[name]
    rate = arguments["learning_rate"]
    # None: PyTorch's own default. Its fused updates are opt-in on CPUs.
    fused = True if fused else None
    if "momentum" in arguments:
        momentum = arguments["momentum"]
        return torch.optim.SGD(parameters, rate, momentum=momentum, fused=fused)
    betas = (arguments["beta_1"], 0.999)
    return torch.optim.Adam(parameters, rate, betas=betas, fused=fused)


def objectives(case, generator, discriminator, is_compiled):
    """Functions of one step: samples for D, D's loss, and G's loss."""
    augment = pictures.diffaugment if case.addition == "diffaugment" else (lambda x: x)

    def fakes(z):
        with torch.no_grad():
            return generator(z)

    def discriminator_loss(real, fake, has_r1):
        if has_r1:
            a, r1 = pictures.logits_and_r1(discriminator, real, is_compiled)
        else:
            a = discriminator(augment(real))
        b = discriminator(augment(fake))
        loss = functional.softplus(-a).mean() + functional.softplus(b).mean()
        if has_r1:
            loss = loss + case.every * r1
        return loss, a.detach().sigmoid().mean(), b.detach().sigmoid().mean()

    def generator_loss(z):
        return functional.softplus(-discriminator(augment(generator(z)))).mean()

    made = fakes, discriminator_loss, generator_loss
    return tuple(torch.compile(f) for f in made) if is_compiled else made


def build(case, variant):
    torch.manual_seed(0)
    networks = build_networks(case)
    compiled = variant == "torch.compile"
    fakes, discriminator_loss, generator_loss = objectives(case, *networks, compiled)
    g_weights, d_weights = (list(network.parameters()) for network in networks)
    g_optimizer = build_optimizer(case.networks, g_weights, compiled)
    d_optimizer = build_optimizer(case.networks, d_weights, compiled)
    k, m = case.discriminator_steps, case.batch_size
    height, width, channels = contestant.SHAPES[case.networks]
    examples = torch.rand(k * m, channels, height, width, device=DEVICE)
    if case.networks in contestant.WIDTHS:
        examples = examples.contiguous(memory_format=MEMORY_FORMAT)
    means = torch.zeros(4, device=DEVICE)
    d_steps = itertools.count()

    def latents():
        return torch.empty(m, contestant.LATENT_DIM, device=DEVICE).uniform_(
            -(3**0.5), 3**0.5
        )

    def step():
        for j in range(k):
            has_r1 = bool(case.every) and next(d_steps) % case.every == 0
            loss, d_real, d_fake = discriminator_loss(
                examples[j::k], fakes(latents()), has_r1
            )
            d_optimizer.zero_grad(set_to_none=True)
            loss.backward(inputs=d_weights)
            d_optimizer.step()
            means.add_(torch.stack([loss.detach(), d_real, d_fake, loss.detach()]))
        loss = generator_loss(latents())
        g_optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=g_weights)
        g_optimizer.step()
        means[3].add_(loss.detach())

    def run(steps):
        for _ in range(steps):
            step()
        means.sum().item()  # waits for a GPU

    return run, [count_parameters(network) for network in networks]


def losses(case, file):
    """The losses of D and of G at a first step, from what is in `file`."""
    networks = build_networks(case)
    with np.load(file, allow_pickle=False) as arrays:
        for prefix, network in zip("gd", networks, strict=True):
            pictures.load(network, arrays, prefix)
        real = torch.from_numpy(arrays["examples"]).permute(0, 3, 1, 2).to(DEVICE)
        z = torch.from_numpy(arrays["latents"]).to(DEVICE)
    fakes, discriminator_loss, generator_loss = objectives(case, *networks, False)
    of_d, *_ = discriminator_loss(real, fakes(z), bool(case.every))
    return [of_d.item(), generator_loss(z).item()]


if __name__ == "__main__":
    contestant.serve(build, losses)
