"""PyTorch doing the work of the TOML files beside this script: so many steps a second.

Each task is written the way its tutorial is: modules, torch.optim.Adam, binary cross-entropy on logits, the generator's
output detached for the discriminator's step. Nothing is recorded or evaluated on the way. `--fused` steps with Adam's
fused kernel; `--compiled` does that too and compiles the networks, which a gradient penalty does not allow.

    python eager.py gaussian-1d --threads 1 --seconds 10
    python eager.py gaussian-1d --threads 1 --steps 500
"""

import argparse
import json
import platform
import time
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F


class MinibatchDiscrimination(nn.Module):
    """Closeness to the rest of the batch, appended to the features (arXiv:1606.03498, section 3.2)."""

    def __init__(self, features, kernels, dims):
        super().__init__()
        self.kernels, self.dims = kernels, dims
        self.project = nn.Linear(features, kernels * dims, bias=False)
        nn.init.normal_(self.project.weight, std=0.02)

    def forward(self, x):
        m = self.project(x).view(-1, self.kernels, self.dims)
        distance = (m.unsqueeze(0) - m.unsqueeze(1)).abs().sum(3)
        return torch.cat([x, torch.exp(-distance).sum(1)], 1)


class Gaussian1d:
    """The 1-D toy: G 1-4-1 softplus, D 1-8-8 relu with minibatch discrimination 5 × 3, batch 8, Adam 1e-3."""

    batch = 8

    def __init__(self, adam):
        self.generator = nn.Sequential(nn.Linear(1, 4), nn.Softplus(), nn.Linear(4, 1))
        self.discriminator = nn.Sequential(
            nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), MinibatchDiscrimination(8, 5, 3), nn.Linear(13, 1)
        )
        self.optimizers = [adam(net.parameters(), lr=1e-3) for net in (self.discriminator, self.generator)]
        self.points = torch.linspace(-8, 8, self.batch).unsqueeze(1)

    def real(self):
        return 4.0 + 0.5 * torch.randn(self.batch, 1)

    def latent(self):
        return self.points + 0.01 * torch.rand(self.batch, 1)


class Dcgan28:
    """DCGAN at 28 × 28: z 64, 64 and 32 channels, kernels of side 4, batch norm, no biases, batch 64, Adam (0.5, 0.999)."""

    batch = 64

    def __init__(self, adam):
        self.generator = nn.Sequential(
            nn.Linear(64, 7 * 7 * 64, bias=False), nn.Unflatten(1, (64, 7, 7)), nn.BatchNorm2d(64), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(64 * 7 * 7, 1, bias=False),
        )  # fmt: skip
        self.optimizers = [
            adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (self.discriminator, self.generator)
        ]
        # What a batch shows does not change how long it takes.
        self.images = torch.rand(4096, 1, 28, 28) * 2 - 1

    def real(self):
        return self.images[torch.randint(len(self.images), (self.batch,))]

    def latent(self):
        return torch.randn(self.batch, 64)


class Grid25:
    """25 Gaussians: G and D 2-512-512-512 relu, batch 256, gradient penalty 0.1, two critic steps, Adam 1e-4 (0.5, 0.9)."""

    batch, critic_steps, weight, width = 256, 2, 0.1, 512

    def __init__(self, adam):
        def net(outputs):
            widths = [2, self.width, self.width, self.width]
            layers = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Linear(a, b), nn.ReLU())]
            return nn.Sequential(*layers, nn.Linear(self.width, outputs))

        self.generator, self.discriminator = net(2), net(1)
        self.optimizers = [
            adam(net.parameters(), lr=1e-4, betas=(0.5, 0.9)) for net in (self.discriminator, self.generator)
        ]
        side = torch.arange(-2.0, 3.0)
        self.centers = torch.cartesian_prod(side, side)

    def real(self):
        return (self.centers[torch.randint(25, (self.batch,))] * 2 + 0.05 * torch.randn(self.batch, 2)) / 2.828

    def latent(self):
        return torch.randn(self.batch, 2)

    def step(self):
        d_optimizer, g_optimizer = self.optimizers
        for _ in range(self.critic_steps):
            d_optimizer.zero_grad()
            real = self.real()
            with torch.no_grad():
                fake = self.generator(self.latent())
            way = torch.rand(self.batch, 1)
            between = (way * real + (1 - way) * fake).requires_grad_(True)
            slope = torch.autograd.grad(self.discriminator(between).sum(), between, create_graph=True)[0]
            penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
            (self.discriminator(fake).mean() - self.discriminator(real).mean() + self.weight * penalty).backward()
            d_optimizer.step()
        g_optimizer.zero_grad()
        (-self.discriminator(self.generator(self.latent())).mean()).backward()
        g_optimizer.step()


class SmallGrid25(Grid25):
    """The same at 3 × 128."""

    width = 128


def step(task):
    """An update of the discriminator, then one of the generator (non-saturating)."""
    if hasattr(task, "step"):
        return task.step()
    d_optimizer, g_optimizer = task.optimizers
    ones, zeros = torch.ones(task.batch, 1), torch.zeros(task.batch, 1)

    d_optimizer.zero_grad()
    real = task.discriminator(task.real())
    fake = task.discriminator(task.generator(task.latent()).detach())
    loss = F.binary_cross_entropy_with_logits(real, ones) + F.binary_cross_entropy_with_logits(fake, zeros)
    loss.backward()
    d_optimizer.step()

    g_optimizer.zero_grad()
    F.binary_cross_entropy_with_logits(task.discriminator(task.generator(task.latent())), ones).backward()
    g_optimizer.step()


TASKS = {"gaussian-1d": Gaussian1d, "dcgan-28": Dcgan28, "grid-25": Grid25, "grid-25-small": SmallGrid25}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--threads", type=int, default=1, help="threads of an operation; 0: all cores")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    parser.add_argument("--steps", type=int, help="do so many steps instead, and end")
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    task = TASKS[options.task](partial(torch.optim.Adam, fused=options.fused or options.compiled))
    if options.steps:
        for _ in range(options.steps):
            step(task)
        return
    if options.compiled:
        task.generator, task.discriminator = torch.compile(task.generator), torch.compile(task.discriminator)
    for _ in range(20):
        step(task)
    steps, begin = 0, time.perf_counter()
    while (seconds := time.perf_counter() - begin) < options.seconds:
        step(task)
        steps += 1
    print(json.dumps({
        "task": options.task, "threads": torch.get_num_threads(), "steps": steps, "seconds": seconds,
        "steps_per_second": steps / seconds, "torch": torch.__version__, "python": platform.python_version(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
