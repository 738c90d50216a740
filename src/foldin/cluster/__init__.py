"""Ray as the engine of a cluster: a training shared by workers, lists for many users, and a search over settings.

Ray places processes and watches over them; what they do is what `experiment` does on one machine. The package is imported without
Ray, which is needed only when something is started (extra `ray`).
"""

from foldin.cluster.connecting import LOCAL, Cluster, connected
from foldin.cluster.listing import Lists, recommend_on
from foldin.cluster.training import ClusterTraining, TrainedOn, train_on
from foldin.cluster.tuning import Search, tune_on

__all__ = [
    "LOCAL",
    "Cluster",
    "ClusterTraining",
    "Lists",
    "Search",
    "TrainedOn",
    "connected",
    "recommend_on",
    "train_on",
    "tune_on",
]
