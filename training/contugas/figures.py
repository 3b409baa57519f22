"""Pictures of a training run."""

import numpy as np
from matplotlib.figure import Figure

from training.contugas.readings import VARIABLES, Readings
from training.contugas.recipe import ClusterReport, Result


def clusters(readings: Readings, result: Result) -> Figure:
    """Draw the client means, coloured by cluster, two variables at a time."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    for axes, (x, y) in zip(figure.subplots(1, 2), [(0, 2), (1, 2)], strict=True):
        for cluster in np.unique(result.labels):
            means = result.means[result.labels == cluster]
            axes.scatter(means[:, x], means[:, y], label=f"cluster {cluster}")
        for name, mean in zip(readings.clients, result.means, strict=True):
            axes.annotate(name, (mean[x], mean[y]), fontsize=7)
        axes.set_xlabel(f"{VARIABLES[x]}, mean")
        axes.set_ylabel(f"{VARIABLES[y]}, mean")
        axes.legend(loc="upper right")
    figure.suptitle(f"Clients by cluster (silhouette {result.silhouette:.3f})")
    return figure


def scores(cluster: int, report: ClusterReport) -> Figure:
    """Draw the decision values of one cluster's rows, by proxy label, with its threshold."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    bins = np.histogram_bin_edges(report.decisions, bins=80).tolist()
    axes.hist(report.decisions[~report.proxy], bins, alpha=0.6, label="within the bands")
    axes.hist(report.decisions[report.proxy], bins, alpha=0.6, label="outside (proxy anomaly)")
    axes.axvline(report.quality.threshold, color="black", label="threshold")
    axes.set_xlabel("decision value (lower is more anomalous)")
    axes.set_ylabel("readings")
    axes.set_title(f"Cluster {cluster}: F1 {report.quality.f1:.3f}")
    axes.legend(loc="upper right")
    return figure
