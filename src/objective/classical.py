"""Writes classical.txt: two tables, and what scikit-learn 1.9.1 finds in them.

    python classical.py FOLDER

FOLDER holds iris.csv and geyser.csv, as `gantlet data get iris geyser` puts them.
"""

import csv
import sys
import warnings

import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity

warnings.filterwarnings("ignore")
out = open("classical.txt", "w")


def table(name):
    with open(f"{sys.argv[1]}/{name}.csv") as file:
        rows = list(csv.reader(file))[1:]
    classes = sorted({row[-1] for row in rows})
    x = np.array([[float(v) for v in row[:-1]] for row in rows])
    y = np.array([classes.index(row[-1]) for row in rows])
    for row, label in zip(x, y):
        print(f"{name} row", *(f"{v:g}" for v in row), label, file=out)
    return x, y


def say(name, what, *numbers):
    print(name, what, *(f"{v:.9g}" for v in np.concatenate([np.ravel(v) for v in numbers])), file=out)


for name, k in [("iris", 3), ("geyser", 2)]:
    x, y = table(name)
    n, d = x.shape
    for kind in ["full", "tied", "diag", "spherical"]:
        fit = GaussianMixture(k, covariance_type=kind, n_init=20, tol=1e-12, max_iter=3000, random_state=0).fit(x)
        order = np.argsort(fit.means_[:, 0])
        say(name, kind, fit.score(x), fit.bic(x), fit.weights_[order], fit.means_[order])
        one = GaussianMixture(1, covariance_type=kind).fit(x)
        say(name, f"{kind}-1", one.score(x), one.bic(x))
    bayes = GaussianNB().fit(x, y)
    joint = bayes.predict_joint_log_proba(x)
    say(name, "bayes", np.logaddexp.reduce(joint, 1).mean(), bayes.score(x, y), bayes.predict_log_proba(x)[n // 2])
    for width in ["scott", "silverman"]:
        fit = KernelDensity(bandwidth=width).fit(x)
        others = [KernelDensity(bandwidth=fit.bandwidth_).fit(np.delete(x, i, 0)).score(x[i : i + 1]) for i in range(n)]
        say(name, width, fit.score(x) / n, np.mean(others))
