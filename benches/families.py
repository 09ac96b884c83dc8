"""PyTorch doing the updates of the files in experiments/, a class a family: so many steps a second.

Each is written the way its paper's usual code is: modules, torch.optim.Adam, the generator's output detached for the
discriminator's step, nothing recorded. Data are noise of the right shape, for what a batch shows does not change how long it
takes. `run.py --families` sets each against gantlet; the file and the cell are in its table.

    python families.py infogan --threads 1 --seconds 10
"""

import argparse
import json
import time
from itertools import chain

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

bce = F.binary_cross_entropy_with_logits


def adam(*nets, lr=1e-3, betas=(0.5, 0.999)):
    return torch.optim.Adam(chain.from_iterable(net.parameters() for net in nets), lr=lr, betas=betas)


def mlp(*widths, activation=nn.ReLU, last=()):
    pairs = list(zip(widths, widths[1:]))
    layers = chain.from_iterable((nn.Linear(a, b), activation()) for a, b in pairs[:-1])
    return nn.Sequential(*layers, nn.Linear(*pairs[-1]), *last)


def leaky():
    return nn.LeakyReLU(0.2)


def dcgan_generator(latent, channels, side):
    """Two transposed convolutions up to `side`, as `dcgan` has it."""
    c, start = 2 * channels, side // 4
    return nn.Sequential(
        nn.Linear(latent, c * start * start, bias=False), nn.Unflatten(1, (c, start, start)), nn.BatchNorm2d(c), nn.ReLU(),
        nn.ConvTranspose2d(c, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.ConvTranspose2d(channels, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip


def dcgan_discriminator(channels, side, outputs=1, norm=nn.BatchNorm2d, of=lambda layer: layer):
    c, end = 2 * channels, side // 4
    return nn.Sequential(
        of(nn.Conv2d(1, channels, 4, 2, 1, bias=False)), leaky(),
        of(nn.Conv2d(channels, c, 4, 2, 1, bias=False)), norm(c), leaky(),
        nn.Flatten(), of(nn.Linear(c * end * end, outputs, bias=False)),
    )  # fmt: skip


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()



def d_game(real, fake):
    return bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))


def g_game(fake):
    return bce(fake, torch.ones_like(fake))


class Averaged:
    """A moving average of a network's weights."""

    def __init__(self, net, decay):
        self.net, self.decay = net, decay
        self.means = [p.detach().clone() for p in net.parameters()]

    def update(self):
        with torch.no_grad():
            torch._foreach_lerp_(self.means, list(self.net.parameters()), 1 - self.decay)


class Data:
    """Noise in place of a data set, drawn batch by batch."""

    def __init__(self, *shape, classes=0, binary=False, low=-1.0):
        self.x = torch.rand(4096, *shape)
        self.x = (self.x > 0.5).float() if binary else self.x * (1.0 - low) + low
        self.labels = torch.randint(max(classes, 1), (4096,))

    def draw(self, n):
        at = torch.randint(len(self.x), (n,))
        return self.x[at], self.labels[at]


class InfoGan:
    def __init__(self):
        self.g = dcgan_generator(14, 16, 16)
        self.trunk = nn.Sequential(
            spectral_norm(nn.Conv2d(1, 16, 4, 2, 1)), leaky(), spectral_norm(nn.Conv2d(16, 32, 4, 2, 1)), leaky(),
            nn.Flatten(), spectral_norm(nn.Linear(512, 128)), leaky(),
        )  # fmt: skip
        self.d, self.q = spectral_norm(nn.Linear(128, 1)), mlp(128, 64, 6, activation=leaky)
        self.of_d, self.of_g = adam(self.trunk, self.d, self.q), adam(self.g)
        self.data, self.mean = Data(1, 16, 16), Averaged(self.g, 0.99)

    def feed(self):
        kind, size = torch.randint(5, (128,)), torch.rand(128, 1) * 2 - 1
        z = torch.cat([torch.rand(128, 8) * 2 - 1, F.one_hot(kind, 5).float(), size], 1)
        return z, kind, size

    def information(self, features, kind, size):
        q = self.q(features)
        return F.cross_entropy(q[:, :5], kind) + 0.5 * ((q[:, 5:] - size) ** 2).mean()

    def step(self):
        z, kind, size = self.feed()
        with torch.no_grad():
            fake = self.g(z)
        at_real, at_fake = self.trunk(self.data.draw(128)[0]), self.trunk(fake)
        step(self.of_d, d_game(self.d(at_real), self.d(at_fake)) + self.information(at_fake, kind, size))
        z, kind, size = self.feed()
        at_fake = self.trunk(self.g(z))
        step(self.of_g, g_game(self.d(at_fake)) + self.information(at_fake, kind, size))
        self.mean.update()


class Noise(nn.Module):
    def __init__(self, std):
        super().__init__()
        self.std = std

    def forward(self, x):
        return x + self.std * torch.randn_like(x)


class SemiSupervised:
    """The generator matches features, as the paper's code has it."""

    def __init__(self):
        self.g = nn.Sequential(
            nn.Linear(100, 250), nn.BatchNorm1d(250), nn.Softplus(), nn.Linear(250, 250), nn.BatchNorm1d(250),
            nn.Softplus(), nn.Linear(250, 784), nn.Sigmoid(),
        )  # fmt: skip
        hidden = ((784, 400), (400, 200), (200, 200))
        self.trunk = nn.Sequential(
            Noise(0.3), *chain.from_iterable((weight_norm(nn.Linear(a, b)), nn.ReLU(), Noise(0.5)) for a, b in hidden)
        )
        self.top = weight_norm(nn.Linear(200, 10))
        self.of_d, self.of_g = adam(self.trunk, self.top, lr=3e-3), adam(self.g, lr=3e-3)
        self.data, self.labeled = Data(784, low=0.0), Data(784, classes=10, low=0.0)
        self.means = [Averaged(net, 0.995) for net in (self.trunk, self.top)]

    def step(self):
        with torch.no_grad():
            fake = self.g(torch.rand(100, 100))
        x, labels = self.labeled.draw(100)
        class_loss = F.cross_entropy(self.top(self.trunk(x)), labels)
        real, fake = (self.top(self.trunk(x)).logsumexp(1) for x in (self.data.draw(100)[0], fake))
        step(self.of_d, class_loss + F.softplus(-real).mean() + F.softplus(fake).mean())
        fake = self.trunk(self.g(torch.rand(100, 100))).mean(0)
        real = self.trunk(self.data.draw(100)[0]).mean(0)
        step(self.of_g, ((real - fake) ** 2).mean())
        for mean in self.means:
            mean.update()


class Cogan:
    """Two games; the second's networks are the first's but for one end."""

    def __init__(self):
        self.shared_g = nn.Sequential(*list(mlp(16, 128, 128, 128, 1))[:6])
        self.ends = nn.ModuleList(nn.Sequential(nn.Linear(128, 256), nn.Tanh()) for _ in range(2))
        self.starts = nn.ModuleList(nn.Sequential(nn.Linear(256, 128), leaky()) for _ in range(2))
        self.shared_d = mlp(128, 128, 128, 1, activation=leaky)
        self.of_g = adam(self.shared_g, self.ends, betas=(0.0, 0.9))
        self.of_d = adam(self.shared_d, self.starts, betas=(0.0, 0.9))
        self.data, self.means = Data(256), [Averaged(net, 0.99) for net in (self.shared_g, self.ends)]

    def judge(self, domain, x):
        return self.shared_d(self.starts[domain](x))

    def step(self):
        with torch.no_grad():
            trunk = self.shared_g(torch.randn(64, 16))
            fakes = [end(trunk) for end in self.ends]
        total = 0.0
        for domain, fake in enumerate(fakes):
            x = self.data.draw(64)[0].requires_grad_(True)
            real = self.judge(domain, x)
            slope = torch.autograd.grad(real.sum(), x, create_graph=True)[0]
            total = total + d_game(real, self.judge(domain, fake)) + 0.5 * slope.square().sum(1).mean()
        step(self.of_d, total)
        trunk = self.shared_g(torch.randn(64, 16))
        step(self.of_g, sum(g_game(self.judge(domain, end(trunk))) for domain, end in enumerate(self.ends)))
        for mean in self.means:
            mean.update()


class Lapgan:
    def __init__(self):
        self.g, self.d = mlp(21, 128, 128, 64, last=(nn.Tanh(),)), mlp(69, 128, 128, 1, activation=leaky)
        self.refiner = nn.Sequential(
            nn.Conv2d(7, 16, 5, 1, 2), nn.ReLU(), nn.Conv2d(16, 16, 5, 1, 2), nn.ReLU(), nn.Conv2d(16, 1, 5, 1, 2)
        )
        self.assessor = nn.Sequential(
            nn.Conv2d(6, 16, 5, 1, 2), leaky(), nn.Conv2d(16, 16, 5, 2), leaky(), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(576, 1),
        )  # fmt: skip
        self.of = [adam(net) for net in (self.g, self.d, self.refiner, self.assessor)]
        self.data = Data(1, 16, 16, classes=5)

    def step(self):
        of_g, of_d, of_refiner, of_assessor = self.of
        x, labels = self.data.draw(64)
        said, coarse = F.one_hot(labels, 5).float(), F.avg_pool2d(x, 2).flatten(1)
        with torch.no_grad():
            fake = self.g(torch.cat([torch.rand(64, 16) * 2 - 1, said], 1))
        step(of_d, d_game(self.d(torch.cat([coarse, said], 1)), self.d(torch.cat([fake, said], 1))))
        fake = self.g(torch.cat([torch.rand(64, 16) * 2 - 1, said], 1))
        step(of_g, g_game(self.d(torch.cat([fake, said], 1))))

        x, labels = self.data.draw(64)
        maps = F.one_hot(labels, 5).float()[:, :, None, None].expand(-1, -1, 16, 16)
        below = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2)

        def refined():
            noise = torch.rand(64, 1, 16, 16) * 2 - 1
            return self.refiner(torch.cat([noise, below, maps], 1)) + below

        with torch.no_grad():
            fake = refined()
        real, fake = (self.assessor(torch.cat([x, maps], 1)) for x in (x, fake))
        step(of_assessor, d_game(real, fake))
        step(of_refiner, g_game(self.assessor(torch.cat([refined(), maps], 1))))


class Began:
    def __init__(self):
        def twice(c):
            return nn.Conv2d(c, c, 3, 1, 1), nn.ELU(), nn.Conv2d(c, c, 3, 1, 1), nn.ELU()

        def decoder():
            return nn.Sequential(
                nn.Linear(32, 512), nn.Unflatten(1, (8, 8, 8)), *twice(8), nn.Upsample(scale_factor=2), *twice(8),
                nn.Conv2d(8, 1, 3, 1, 1),
            )  # fmt: skip

        self.g = decoder()
        self.d = nn.Sequential(
            nn.Conv2d(1, 8, 3, 1, 1), nn.ELU(), *twice(8), nn.Conv2d(8, 8, 3, 2, 1), nn.ELU(),
            nn.Conv2d(8, 16, 3, 1, 1), nn.ELU(), nn.Conv2d(16, 16, 3, 1, 1), nn.ELU(), nn.Flatten(),
            nn.Linear(1024, 32), decoder(),
        )  # fmt: skip
        self.of_d, self.of_g, self.k = adam(self.d), adam(self.g), 0.0
        self.data = Data(1, 16, 16)

    def loss(self, x):
        return (self.d(x) - x).abs().mean()

    def step(self):
        with torch.no_grad():
            fake = self.g(torch.rand(32, 32) * 2 - 1)
        real, of_fake = self.loss(self.data.draw(32)[0]), self.loss(fake)
        step(self.of_d, real - self.k * of_fake)
        of_fake = self.loss(self.g(torch.rand(32, 32) * 2 - 1))
        step(self.of_g, of_fake)
        self.k = min(max(self.k + 0.1 * (0.5 * real.item() - of_fake.item()), 0.0), 1.0)


class Classifier:
    def __init__(self):
        self.net = nn.Sequential(
            nn.Conv2d(1, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 5, 2, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(1568, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
        self.of, self.data = adam(self.net), Data(1, 28, 28, classes=10)

    def step(self):
        x, labels = self.data.draw(64)
        step(self.of, F.cross_entropy(self.net(x), labels))


class Autoencoder:
    def __init__(self):
        self.encoder, self.decoder = dcgan_discriminator(16, 16, 16), dcgan_generator(16, 16, 16)
        self.of, self.data = adam(self.encoder, self.decoder), Data(1, 16, 16)

    def step(self):
        x = self.data.draw(64)[0]
        step(self.of, F.mse_loss(self.decoder(self.encoder(x)), x))


class Vae:
    draws, hidden = 1, [200]

    def __init__(self):
        self.encoder = mlp(256, *self.hidden, 20, activation=nn.Tanh)
        self.decoder = mlp(10, *self.hidden, 256, activation=nn.Tanh)
        self.of, self.data = adam(self.encoder, self.decoder), Data(256, binary=True)

    def step(self):
        x = self.data.draw(100)[0]
        mean, log_var = self.encoder(x).chunk(2, 1)
        eps = torch.randn(self.draws, 100, 10)
        z = mean + (0.5 * log_var).exp() * eps
        logits = self.decoder(z)
        likely = -bce(logits, x.expand_as(logits), reduction="none").sum(2)
        if self.draws == 1:
            divergence = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1)
            return step(self.of, (divergence - likely).mean())
        ratio = (0.5 * (eps.square() + log_var - z.square())).sum(2)
        step(self.of, -(likely + ratio).logsumexp(0).mean())


class Iwae(Vae):
    draws, hidden = 5, [100, 100]


class Masked(nn.Conv2d):
    """A convolution that sees what comes before in reading order, and where it says so the pixel itself."""

    def __init__(self, inputs, outputs, side, own):
        super().__init__(inputs, outputs, side, padding=side // 2)
        mask = torch.ones(side * side)
        mask[side * side // 2 + own :] = 0
        self.register_buffer("mask", mask.view(side, side))

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Residual(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(), nn.Conv2d(2 * h, h, 1), nn.ReLU(), Masked(h, h, 3, True), nn.ReLU(), nn.Conv2d(h, 2 * h, 1)
        )

    def forward(self, x):
        return x + self.body(x)


class Gated(nn.Module):
    """A layer of two stacks (arXiv:1606.05328, figure 2); the kernels are cut to what they see."""

    def __init__(self, inputs, p, side, first):
        super().__init__()
        half = side // 2
        self.first, self.half = first, half
        self.vertical = nn.Conv2d(inputs, 2 * p, (half + (0 if first else 1), side), padding=(half, half))
        self.horizontal = nn.Conv2d(inputs, 2 * p, (1, half + (0 if first else 1)), padding=(0, half))
        self.across, self.out = nn.Conv2d(2 * p, 2 * p, 1), nn.Conv2d(p, p, 1)

    def forward(self, v, h):
        height, width = h.shape[2:]
        vertical = self.vertical(v)[:, :, :height]
        across = self.horizontal(h)[:, :, :, :width] + self.across(vertical)
        out = self.out(self.gate(across))
        return self.gate(vertical), out if self.first else out + h

    @staticmethod
    def gate(x):
        a, b = x.chunk(2, 1)
        return torch.tanh(a) * torch.sigmoid(b)


class Pixelcnn:
    side, batch = 8, 64

    def __init__(self):
        self.net = nn.Sequential(
            Masked(1, 32, 7, False), *(Residual(16) for _ in range(5)),
            nn.ReLU(), nn.Conv2d(32, 32, 1), nn.ReLU(), nn.Conv2d(32, 2, 1),
        )  # fmt: skip
        self.start()

    def start(self):
        self.of, self.data = adam(self.net, lr=2e-3), Data(1, self.side, self.side, binary=True)

    def logits(self, x):
        return self.net(x)

    def step(self):
        x = self.data.draw(self.batch)[0]
        loss = F.cross_entropy(self.logits(x), x[:, 0].long(), reduction="sum") / self.batch
        self.of.zero_grad()
        loss.backward()
        clip_grad_norm_(self.net.parameters(), 1.0)
        self.of.step()


class GatedPixelcnn(Pixelcnn):
    def __init__(self):
        self.stack = nn.ModuleList([Gated(1, 16, 7, True), *(Gated(16, 16, 3, False) for _ in range(4))])
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(16, 32, 1), nn.ReLU(), nn.Conv2d(32, 2, 1))
        self.net = nn.ModuleList([self.stack, self.head])
        self.start()

    def logits(self, x):
        v = h = x
        for layer in self.stack:
            v, h = layer(v, h)
        return self.head(h)


class DigitsPixelcnn(Pixelcnn):
    side, batch = 28, 32


class DigitsGatedPixelcnn(GatedPixelcnn):
    side, batch = 28, 32


def lstm_step(gates, cell):
    output, forget, take, new = gates.chunk(4, 1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(take) * torch.tanh(new)
    return torch.sigmoid(output) * torch.tanh(cell), cell


class RowLstm(nn.Module):
    def __init__(self, channels, h):
        super().__init__()
        self.h, self.of_map, self.out = h, Masked(channels, 4 * h, 3, True), nn.Conv2d(h, channels, 1)
        self.of_state = nn.Conv1d(h, 4 * h, 3, padding=1, bias=False)
        with torch.no_grad():
            self.of_map.mask[[0, 2]] = 0

    def forward(self, x):
        gates, rows = self.of_map(x), []
        state = cell = gates.new_zeros(len(x), self.h, x.shape[3])
        for row in gates.unbind(2):
            state, cell = lstm_step(row + self.of_state(state), cell)
            rows.append(state)
        return x + self.out(torch.stack(rows, 2))


class DiagonalBiLstm(nn.Module):
    def __init__(self, channels, h):
        super().__init__()
        self.h, self.out = h, nn.Conv2d(h, channels, 1)
        self.of_map = nn.ModuleList(nn.Conv2d(channels, 4 * h, 1) for _ in range(2))
        self.of_state = nn.ModuleList(nn.Conv1d(h, 4 * h, 2, bias=False) for _ in range(2))

    def one_pass(self, x, side):
        """Over the skewed map, column by column; a state sees its own row and the one above of the column before."""
        n, _, height, width = x.shape
        gates = self.of_map[side](x)
        skewed = torch.stack([F.pad(gates[:, :, row], (row, height - 1 - row)) for row in range(height)], 2)
        state = cell = gates.new_zeros(n, self.h, height)
        columns = []
        for column in skewed.unbind(3):
            state, cell = lstm_step(column + self.of_state[side](F.pad(state, (1, 0))), cell)
            columns.append(state)
        states = torch.stack(columns, 3)
        return torch.stack([states[:, :, row, row : row + width] for row in range(height)], 2)

    def forward(self, x):
        left, right = self.one_pass(x, 0), self.one_pass(x.flip(3), 1).flip(3)
        return x + self.out(left + F.pad(right[:, :, :-1], (0, 0, 1, 0)))


class RowLstmPixels(Pixelcnn):
    layer = RowLstm

    def __init__(self):
        self.net = nn.Sequential(
            Masked(1, 32, 7, False), self.layer(32, 16), nn.ReLU(), nn.Conv2d(32, 32, 1), nn.ReLU(), nn.Conv2d(32, 2, 1)
        )
        self.start()


class DiagonalPixels(RowLstmPixels):
    layer = DiagonalBiLstm


class Sequence:
    """A recurrent network over 64 characters; the first is told from a symbol for the beginning."""

    def __init__(self):
        self.net = nn.ModuleList([nn.Embedding(66, 64), self.body(), nn.Linear(128, 65)])
        self.of = torch.optim.AdamW(self.net.parameters(), lr=3e-3, weight_decay=0.01)
        self.text = torch.randint(65, (100_000,))

    def body(self):
        return nn.GRU(64, 128, batch_first=True)

    def logits(self, before):
        embedding, body, head = self.net
        return head(body(embedding(before))[0])

    def step(self):
        at = torch.randint(len(self.text) - 64, (32, 1)) + torch.arange(64)
        x = self.text[at]
        before = F.pad(x[:, :-1], (1, 0), value=65)
        loss = F.cross_entropy(self.logits(before).flatten(0, 1), x.flatten())
        self.of.zero_grad()
        loss.backward()
        clip_grad_norm_(self.net.parameters(), 1.0)
        self.of.step()


class LstmSequence(Sequence):
    def body(self):
        return nn.LSTM(64, 128, batch_first=True)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = (part.view(n, t, self.heads, -1).transpose(1, 2) for part in self.qkv(self.before(x)).chunk(3, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, width))
        return x + self.mlp(x)


class TransformerSequence(Sequence):
    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(0.02 * torch.randn(64, 128))
        body = nn.Sequential(Block(128, 4), Block(128, 4), nn.LayerNorm(128))
        self.net = nn.ModuleList([nn.Embedding(66, 128), body, nn.Linear(128, 65)])
        self.of = torch.optim.AdamW([*self.net.parameters(), self.place], lr=1e-3, weight_decay=0.01)

    def logits(self, before):
        embedding, body, head = self.net
        return head(body(embedding(before) + self.place))


class SnGan:
    """DCGAN at 28 × 28 whose discriminator is divided by its spectral norms, on the hinge."""

    def __init__(self):
        self.g, self.d = dcgan_generator(64, 32, 28), self.discriminator()
        self.of_d, self.of_g = adam(self.d, lr=2e-4), adam(self.g, lr=2e-4)
        self.data = Data(1, 28, 28)

    def discriminator(self):
        return dcgan_discriminator(32, 28, norm=lambda _: nn.Identity(), of=spectral_norm)

    def step(self):
        with torch.no_grad():
            fake = self.g(torch.randn(64, 64))
        real, fake = self.d(self.data.draw(64)[0]), self.d(fake)
        step(self.of_d, F.relu(1 - real).mean() + F.relu(1 + fake).mean())
        step(self.of_g, -self.d(self.g(torch.randn(64, 64))).mean())


class WganGp(SnGan):
    """The same without norms, five steps of a critic with a gradient penalty."""

    def discriminator(self):
        return dcgan_discriminator(32, 28, norm=lambda _: nn.Identity())

    def step(self):
        for _ in range(5):
            real = self.data.draw(64)[0]
            with torch.no_grad():
                fake = self.g(torch.randn(64, 64))
            way = torch.rand(64, 1, 1, 1)
            between = (way * real + (1 - way) * fake).requires_grad_(True)
            slope = torch.autograd.grad(self.d(between).sum(), between, create_graph=True)[0]
            penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
            step(self.of_d, self.d(fake).mean() - self.d(real).mean() + 10.0 * penalty)
        step(self.of_g, -self.d(self.g(torch.randn(64, 64))).mean())


FAMILIES = {
    "infogan": InfoGan, "semi-supervised": SemiSupervised, "cogan": Cogan, "lapgan": Lapgan, "began": Began,
    "sn-gan": SnGan, "wgan-gp": WganGp, "classifier": Classifier, "autoencoder": Autoencoder, "vae": Vae, "iwae": Iwae,
    "pixelcnn": Pixelcnn, "gated-pixelcnn": GatedPixelcnn, "digits-pixelcnn": DigitsPixelcnn,
    "digits-gated-pixelcnn": DigitsGatedPixelcnn, "row-lstm": RowLstmPixels, "diagonal-bilstm": DiagonalPixels,
    "gru": Sequence, "lstm": LstmSequence, "transformer": TransformerSequence,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=FAMILIES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    task = FAMILIES[options.task]()
    for _ in range(5):
        task.step()
    steps, begin = 0, time.perf_counter()
    while (seconds := time.perf_counter() - begin) < options.seconds:
        task.step()
        steps += 1
    print(json.dumps({"task": options.task, "steps_per_second": steps / seconds}))


if __name__ == "__main__":
    main()
