"""Worker of train_step.py: the same networks and updates in PyTorch."""

import contestant
import torch
from torch import nn
from torch.nn import functional

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


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


def conv64():
    first, *channels = contestant.CONV64_CHANNELS
    parts = [
        nn.Linear(contestant.LATENT_DIM, 16 * first, bias=False),
        *(nn.Unflatten(1, (first, 4, 4)), nn.BatchNorm2d(first), nn.ReLU()),
    ]
    inputs = first
    for outputs in channels:
        parts += [
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
            *(nn.BatchNorm2d(outputs), nn.ReLU()),
        ]
        inputs = outputs
    parts += [nn.ConvTranspose2d(inputs, 3, 4, 2, 1), nn.Tanh()]
    judges, inputs = [], 3
    for outputs in reversed(contestant.CONV64_CHANNELS):
        judges += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        inputs = outputs
    judges += [nn.Flatten(), nn.Linear(16 * inputs, 1)]
    return nn.Sequential(*parts), nn.Sequential(*judges)


NETWORKS = {
    "digits_mlp": digits_mlp,
    "mnist_mlp": mnist_mlp,
    "cifar_conv": cifar_conv,
    "conv64": conv64,
}


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


def build(case, variant):
    torch.manual_seed(0)
    networks = [part.to(DEVICE).train() for part in NETWORKS[case.networks]()]
    generator, discriminator = networks
    # Buffers as well, as Keras counts them; but not PyTorch's counters of batches.
    parameters = sum(
        value.numel()
        for network in networks
        for value in (*network.parameters(), *network.buffers())
        if value.is_floating_point()
    )
    compiled = variant == "torch.compile"
    g_weights, d_weights = (list(network.parameters()) for network in networks)
    g_optimizer = build_optimizer(case.networks, g_weights, compiled)
    d_optimizer = build_optimizer(case.networks, d_weights, compiled)
    k, m = case.discriminator_steps, case.batch_size
    height, width, channels = contestant.SHAPES[case.networks]
    examples = torch.rand(k * m, channels, height, width, device=DEVICE)
    means = torch.zeros(4, device=DEVICE)

    def latents():
        return torch.empty(m, contestant.LATENT_DIM, device=DEVICE).uniform_(
            -(3**0.5), 3**0.5
        )

    def fakes(z):
        with torch.no_grad():
            return generator(z)

    def discriminator_loss(real, fake):
        a, b = discriminator(real), discriminator(fake)
        loss = functional.softplus(-a).mean() + functional.softplus(b).mean()
        return loss, a.detach().sigmoid().mean(), b.detach().sigmoid().mean()

    def generator_loss(z):
        return functional.softplus(-discriminator(generator(z))).mean()

    if compiled:
        fakes, discriminator_loss, generator_loss = (
            torch.compile(f) for f in (fakes, discriminator_loss, generator_loss)
        )

    def step():
        for j in range(k):
            loss, d_real, d_fake = discriminator_loss(examples[j::k], fakes(latents()))
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

    return run, parameters


if __name__ == "__main__":
    contestant.serve(build)
