"""Eager PyTorch doing the work of the TOML files beside this script: so many steps a second.

Each task is written the way its tutorial is: modules, torch.optim.Adam, binary cross-entropy on logits, the generator's
output detached for the discriminator's step. Nothing is recorded or evaluated on the way.

    python eager.py gaussian-1d --threads 1 --seconds 10
"""

import argparse
import json
import platform
import time

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

    def __init__(self):
        self.generator = nn.Sequential(nn.Linear(1, 4), nn.Softplus(), nn.Linear(4, 1))
        self.discriminator = nn.Sequential(
            nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), MinibatchDiscrimination(8, 5, 3), nn.Linear(13, 1)
        )
        self.optimizers = [torch.optim.Adam(net.parameters(), lr=1e-3) for net in (self.discriminator, self.generator)]
        self.points = torch.linspace(-8, 8, self.batch).unsqueeze(1)

    def real(self):
        return 4.0 + 0.5 * torch.randn(self.batch, 1)

    def latent(self):
        return self.points + 0.01 * torch.rand(self.batch, 1)


class Dcgan28:
    """DCGAN at 28 × 28: z 64, 64 and 32 channels, kernels of side 4, batch norm, no biases, batch 64, Adam (0.5, 0.999)."""

    batch = 64

    def __init__(self):
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
            torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for net in (self.discriminator, self.generator)
        ]
        # What a batch shows does not change how long it takes.
        self.images = torch.rand(4096, 1, 28, 28) * 2 - 1

    def real(self):
        return self.images[torch.randint(len(self.images), (self.batch,))]

    def latent(self):
        return torch.randn(self.batch, 64)


def step(task):
    """An update of the discriminator, then one of the generator (non-saturating)."""
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


TASKS = {"gaussian-1d": Gaussian1d, "dcgan-28": Dcgan28}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--threads", type=int, default=1, help="threads of an operation; 0: all cores")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    task = TASKS[options.task]()
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
