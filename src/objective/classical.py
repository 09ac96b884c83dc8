"""Writes classical.txt: three tables, and what scikit-learn 1.9.1 finds in them; in wine with columns of mean 0 and deviation 1.

    python classical.py FOLDER

FOLDER holds iris.csv and geyser.csv, as `gantlet data get iris geyser` puts them.
"""

import csv
import sys
import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
out = open("classical.txt", "w")


def table(name):
    if name == "wine":
        x, y = load_wine(return_X_y=True)
    else:
        with open(f"{sys.argv[1]}/{name}.csv") as file:
            rows = list(csv.reader(file))[1:]
        classes = sorted({row[-1] for row in rows})
        x = np.array([[float(v) for v in row[:-1]] for row in rows])
        y = np.array([classes.index(row[-1]) for row in rows])
    for row, label in zip(x, y):
        print(f"{name} row", *(f"{v:g}" for v in row), label, file=out)
    return (StandardScaler().fit_transform(x) if name == "wine" else x), y


def say(name, what, *numbers):
    print(name, what, *(f"{v:.9g}" for v in np.concatenate([np.ravel(v) for v in numbers])), file=out)


class FromTightest(GaussianMixture):
    """As gantlet begins: at the tightest of several k-means."""

    def _initialize_parameters(self, X, random_state, xp=None):
        labels = KMeans(self.n_components, n_init=20, random_state=0).fit(X).labels_
        self._initialize(X, np.eye(self.n_components)[labels])


for name, k in [("iris", 3), ("geyser", 2), ("wine", 3)]:
    x, y = table(name)
    n, d = x.shape
    for kind in ["full", "tied", "diag", "spherical"]:
        fit = FromTightest(k, covariance_type=kind, tol=1e-12, max_iter=3000).fit(x)
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
