"""Describe what a result depends on, for the end of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Environment, Run


def describe_run(run: Run) -> dict[str, str]:
    """Describe a Run by the facts that its result depends on.

    Args:
        run: A finished Run.

    Returns:
        By name, for `write_evaluation`: network, input, training, fields, data, seed, code, versions, machine.

    Raises:
        LociscopeError: Its recipe or its environment cannot be read.
    """
    return describe_recipe(run.read_recipe(), run.read_environment())


def describe_recipe(recipe: Recipe, environment: Environment) -> dict[str, str]:
    """Describe a recipe and an environment, as `describe_run` does."""
    train, fields = recipe.train, environment.fields
    stages = recipe.stages or (train,)
    epochs, rates = " + ".join(str(each.epochs) for each in stages), ", ".join(f"{e.learning_rate:g}" for e in stages)
    options = "".join(f", {name} = {value}" for name, value in recipe.network.options.items())
    versions = ", ".join(f"{name} {number}" for name, number in environment.versions.items())
    return {
        "Network": f"{recipe.network.name}{options}; {environment.parameters:,} parameters",
        "Input": f"{recipe.data.size} × {recipe.data.size} px, {recipe.data.input.pixel_size:.2f} µm/px",
        "Training": f"{epochs} epochs, batch {train.batch}, {train.optimizer} at {rates}, loss {train.loss}",
        "Fields": f"{fields.get('train', 0):,} for training, {fields.get('valid', 0):,} for validation",
        "Data": f"{environment.data.describe()}; sha256 {environment.data_hash[:12]}…",
        "Seed": str(environment.seed),
        "Created": environment.created,
        "Code": environment.git or "installed package",
        "Versions": versions,
        "Machine": environment.machine,
    }
