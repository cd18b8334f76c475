"""Files that commands exchange: catalogs, recipes, runs, studies, predictions, bundles and submissions."""
