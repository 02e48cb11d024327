"""Features: a recipe written once that gives the same bits for a table and for one row.

``Recipe.fit`` learns over any scan and gives a ``FittedRecipe``; ``transforms`` holds what a
recipe is made of; ``point_in_time`` joins the last known features without looking ahead.
"""

from raypipe.features import transforms
from raypipe.features.asof.table import FeatureTable
from raypipe.features.columns import InputSpec
from raypipe.features.fitted import FittedRecipe
from raypipe.features.foreseen import Foreseen, foreseen
from raypipe.features.leaks.find import find_leaks
from raypipe.features.leaks.report import Leak, LeakReport
from raypipe.features.point_in_time import point_in_time
from raypipe.features.profile import ColumnProfile, Profile
from raypipe.features.recipe import Recipe
from raypipe.features.transformer import RecipeTransformer

__all__ = [
    "ColumnProfile",
    "FeatureTable",
    "FittedRecipe",
    "Foreseen",
    "InputSpec",
    "Leak",
    "LeakReport",
    "Profile",
    "Recipe",
    "RecipeTransformer",
    "find_leaks",
    "foreseen",
    "point_in_time",
    "transforms",
]
