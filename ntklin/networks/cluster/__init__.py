"""Features on a Dask cluster, some rows of X on each worker."""
