"""Ray around a plain function: a cluster, parts in parallel, jobs, progress."""
