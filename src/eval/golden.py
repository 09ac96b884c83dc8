"""Takes metrics with public packages, on the arrays that `testing.rs` makes too, and writes them to golden.txt beside it.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 prdc==0.2 pytorch-msssim==1.0.0 torch==2.11.0 \
        torch-fidelity==0.4.0
    python golden.py

Arrays hold float32 numbers, as in the program; everything is worked out in double precision.
"""

from pathlib import Path

import numpy as np
import torch
from prdc import compute_prdc
from pytorch_msssim import ms_ssim
from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim
from scipy.ndimage import convolve
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.svm import LinearSVC
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kernel_mmd

GOLDEN = {}


def uniforms(seed, n):
    mask, state, out = (1 << 64) - 1, seed, []
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(((z ^ (z >> 31)) >> 11) * 2.0**-53)
    return np.array(out)


def normals(seed, n):
    a, b = uniforms(seed, n).reshape(-1, 2).T
    r, angle = np.sqrt(-2 * np.log(1 - a)), 2 * np.pi * b
    return np.stack([r * np.cos(angle), r * np.sin(angle)], 1).ravel()


def rounded(x):
    return np.asarray(x, np.float32).astype(np.float64)


noise = normals(22, 4000).reshape(500, 8)
X = rounded(normals(11, 4000).reshape(500, 8))
Y = rounded(0.2 + 1.3 * noise + 0.5 * np.roll(noise, -1, 1))


# The Fréchet distance: torch-fidelity, which takes the eigenvalues of S1·S2.
def frechet(a, b):
    of = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    return fid_statistics_to_metric(*of, False)["frechet_inception_distance"]


GOLDEN["frechet X Y"] = frechet(X, Y)
GOLDEN["frechet X[:250] X[250:]"] = frechet(X[:250], X[250:])
GOLDEN["frechet X[:6] Y[:6]"] = frechet(X[:6], Y[:6])
GOLDEN["frechet X[:,:2] Y[:,:2]"] = frechet(X[:, :2], Y[:, :2])
GOLDEN["frechet point X"] = frechet(np.full((3, 8), 0.5), X)


# The kernel distance: torch-fidelity on the rows of one subset.
def kid(a, b):
    return kernel_mmd(a, b)


GOLDEN["kid X Y"] = kid(X, Y)
GOLDEN["kid X[:250] X[250:]"] = kid(X[:250], X[250:])
for s in range(3):
    i = np.arange(100)
    GOLDEN[f"kid subset {s}"] = kid(X[(7 * i + s) % 500], Y[(3 * i + s) % 500])

# Precision, recall, density, coverage: prdc.
for name, k, a, b in [
    ("3 X Y", 3, X, Y),
    ("5 X Y", 5, X, Y),
    ("5 X X", 5, X, X),
    ("5 X[:250] X[250:]", 5, X[:250], X[250:]),
    ("5 X[:300] Y", 5, X[:300], Y),
    ("5 X[:,:1] Y[:,:1]", 5, X[:, :1], Y[:, :1]),
]:
    for what, value in compute_prdc(a, b, k).items():
        GOLDEN[f"{what} {name}"] = value

# The two-sample test: scikit-learn's nearest neighbor, each example left out of its own classifier.
both, side = np.concatenate([X, Y]), np.repeat([0, 1], 500)
left_out = [
    KNeighborsClassifier(1).fit(np.delete(both, i, 0), np.delete(side, i)).predict(both[i : i + 1])[0]
    for i in range(1000)
]
GOLDEN["real by real X Y"] = np.mean([s == 0 for s in left_out[:500]])
GOLDEN["fake by fake X Y"] = np.mean([s == 1 for s in left_out[500:]])

# The Laplacian pyramid of arXiv:1710.10196: scipy's convolution with mirrored borders.
BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def halved(plane):
    return convolve(plane, BINOMIAL, mode="mirror")[::2, ::2]


def doubled(plane):
    out = np.zeros((2 * plane.shape[0], 2 * plane.shape[1]))
    out[::2, ::2] = plane
    return convolve(out, 4 * BINOMIAL, mode="mirror")


def pictures(x, *shape):
    count = x.size // np.prod(shape)
    return x.ravel()[: count * np.prod(shape)].reshape(count, *shape)


def weighed(x):
    return (x.ravel() * np.sin(0.3 * np.arange(x.size))).sum()


plane = pictures(X, 20, 28)[0]
GOLDEN["pyramid halved"] = weighed(halved(plane))
GOLDEN["pyramid doubled"] = weighed(doubled(halved(plane)))


def bands(plane, levels):
    out = []
    for _ in range(levels - 1):
        coarse = halved(plane)
        out.append(plane - doubled(coarse))
        plane = coarse
    return out + [plane]


for name, x in (("X", X), ("Y", Y)):
    planes = [bands(plane, 2) for image in pictures(x, 2, 16, 8) for plane in image]
    for level in range(2):
        band = np.concatenate([levels[level].ravel() for levels in planes])
        GOLDEN[f"band {level} deviation {name}"] = band.std()
        GOLDEN[f"band {level} kurtosis {name}"] = ((band - band.mean()) ** 4).mean() / band.var() ** 2


def descriptors(images, sides):
    levels = []
    for level in range(len(sides)):
        coarse = np.stack([[halved(p) for p in image] for image in images])
        fine = images
        if level + 1 < len(sides):
            fine = images - np.stack([[doubled(p) for p in image] for image in coarse])
        windows = np.lib.stride_tricks.sliding_window_view(fine, (7, 7), (2, 3))  # n, c, y, x, 7, 7
        rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1], 7, 7)
        rows = (rows - rows.mean((0, 2, 3), keepdims=True)) / rows.std((0, 2, 3), keepdims=True)
        levels.append(rows.reshape(len(rows), -1))
        images = coarse
    return levels


directions = rounded(np.sin(1 + np.arange(16)[:, None] + 0.7 * np.arange(98)) / 7)
of = [descriptors(pictures(x, 2, 28, 28), [28, 14]) for x in (X, Y)]
for level, (a, b) in enumerate(zip(*of)):
    projected = [np.sort(side @ directions.T, 0) for side in (a, b)]
    GOLDEN[f"patches level {level}"] = np.abs(projected[0] - projected[1]).mean()

# Multi-scale structural similarity: pytorch-msssim, and its parts where images are too small for its five scales.
WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
for channels, side, scales in [(1, 176, 5), (3, 28, 2), (1, 64, 3), (1, 11, 1)]:
    i = np.arange(channels * side * side)
    wave, other = np.sin(0.05 * i + (i // side) * 0.03), np.sin(1.3 * i)
    a, b = (rounded((1 - by) * wave + by * other).reshape(1, channels, side, side) for by in (0, 0.3))
    a, b = torch.from_numpy(a), torch.from_numpy(b)
    if scales == 5:
        value = ms_ssim(a, b, data_range=2)
    else:
        window = _fspecial_gauss_1d(11, 1.5).repeat([channels, 1, 1, 1])
        weights, value = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales]), 1
        for scale, weight in enumerate(weights):
            whole, contrast = _ssim(a, b, data_range=2, win=window, size_average=False)
            value = value * torch.relu(whole if scale + 1 == scales else contrast) ** weight
            a, b = (torch.nn.functional.avg_pool2d(x, 2) for x in (a, b))
        value = value.mean()
    GOLDEN[f"ms-ssim {channels} {side}"] = value.item()


# The Parzen window: SciPy. Scikit-learn's kernel density says the same where its trees' bounds do not underflow; in the
# tails of narrow windows it does not.
def parzen(samples, points, width):
    terms = -cdist(points, samples, "sqeuclidean") / (2 * width**2)
    return logsumexp(terms, 1) - np.log(len(samples)) - points.shape[1] * np.log(width * np.sqrt(2 * np.pi))


assert np.allclose(parzen(Y, X, 0.8), KernelDensity(bandwidth=0.8).fit(Y).score_samples(X), rtol=1e-9)


for width in [0.3, 0.5, 1]:
    GOLDEN[f"parzen {width}"] = parzen(Y, X, width).mean()
best = max(np.logspace(-1, 0, 10), key=lambda width: parzen(Y, X[:250], width).mean())
chosen = parzen(Y, X[250:], best)
GOLDEN["parzen chosen"] = chosen.mean()
GOLDEN["parzen chosen standard error"] = chosen.std() / len(chosen) ** 0.5
GOLDEN["parzen 0.1 of the second half"] = parzen(Y, X[250:], 0.1).mean()


# A line for each class against all others: scikit-learn's LinearSVC, which is liblinear.
largest = np.argmax(X[:, :3].astype(np.float32) + np.square(X[:, 3:6].astype(np.float32)), 1)
for c in [0.01, 0.1, 10]:
    line = LinearSVC(C=c, tol=1e-12, max_iter=10_000_000).fit(X[:60], largest[:60])
    GOLDEN[f"linear-svc {c} accuracy"] = line.score(X[60:], largest[60:])
    for k in range(3):
        GOLDEN[f"linear-svc {c} class {k}"] = line.decision_function(X[60:61])[0, k]


# The random network's layers, with weights that need no generator: PyTorch.
def waves(phase, *shape):
    return torch.from_numpy(rounded(np.sin(phase + 0.7 * np.arange(np.prod(shape))) / 2).reshape(shape))


for name, channels, height, width in [("gray", 1, 28, 28), ("color", 3, 16, 9)]:
    x, inputs = waves(9, 1, channels, height, width), channels
    for i, (outputs, side, stride) in enumerate([(32, 4, 2), (64, 4, 2), (32, 3, 1)]):
        weights = waves(i + 1, outputs, side, side, inputs).permute(0, 3, 1, 2)
        x, inputs = torch.nn.functional.conv2d(x, weights, stride=stride, padding=1).relu(), outputs
    y, z = x.shape[2] // 2, x.shape[3] // 2
    quarters = [x[0, :, :y, :z], x[0, :, :y, z:], x[0, :, y:, :z], x[0, :, y:, z:]]
    features = torch.cat([quarter.mean((1, 2)) for quarter in quarters]).numpy()
    GOLDEN[f"random-conv {name} 0"] = features[0]
    GOLDEN[f"random-conv {name} 127"] = features[127]
    GOLDEN[f"random-conv {name} upper left"] = features[:32].sum()
    GOLDEN[f"random-conv {name} even"] = features[::2].sum()
    GOLDEN[f"random-conv {name} sum"] = features.sum()

lines = [f"{name} = {float(value):.12g}\n" for name, value in GOLDEN.items()]
Path(__file__).with_name("golden.txt").write_text("".join(lines))
