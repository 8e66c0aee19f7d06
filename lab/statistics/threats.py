"""What would make a careful reader doubt a verdict, whatever its p (study/methods.md §4.4)."""

from dataclasses import dataclass

# A permutation p of 7 units is at best 2^−7 = .008: with fewer than 8 no correction for several claims is survived.
FEWEST_UNITS = 8
# Effects grow about in proportion to the edit: controls that are 1.5 times off by themselves do that much more or less.
WORST_RATIO = 1.5
# In units of the largest activation known: beyond it the model has never been.
LARGEST_MAGNITUDE = 1.0
# With more than a fifth of the prompts gone, the claim is about those where it works anyway.
MOST_EXCLUDED = 0.2
# Nats: by Pinsker's inequality √(KL/2) = .22 of the probability may have moved, where the edit should do nothing.
HIGHEST_KL = 0.1


@dataclass(frozen=True)
class Circumstances:
    """What is known of a run beside its effects. None: not measured, so no threat is seen."""

    units: int  # left, after prompts were excluded
    families: bool  # units are families that the record declares; else prompts
    prompts: int  # of the test set
    excluded: int = 0  # of these: the plain model does not show the behaviour
    controls: int = 0  # sets that ran
    controls_wanted: int = 0  # R of the record
    control_ratio: float | None = None  # geometric mean, own size of the controls' features to the edited ones'
    magnitude: float | None = None  # largest |value set| / largest activation known
    off_target_kl: float | None = None  # nats, mean over unrelated prompts

    @property
    def counted(self) -> str:
        """`12 prompts`, `1 family`."""
        one, many = ("family", "families") if self.families else ("prompt", "prompts")
        return f"{self.units} {one if self.units == 1 else many}"


def threats(run: Circumstances) -> list[str]:
    """One sentence each, with the figure; empty where nothing known speaks against the run."""
    found = []
    if run.controls < run.controls_wanted:
        found.append(f"Only {run.controls} of {run.controls_wanted} control sets could be matched.")
    if run.control_ratio is not None and not 1 / WORST_RATIO <= run.control_ratio <= WORST_RATIO:
        found.append(f"Controls are poorly matched: by themselves {run.control_ratio:.2g} × as large as the edit.")
    if run.magnitude is not None and run.magnitude > LARGEST_MAGNITUDE:
        found.append(f"The edit is out of range: {run.magnitude:.2g} × the largest activation known.")
    if not run.families:
        found.append("No families are declared: prompts of one template count as if they were independent.")
    if run.units < FEWEST_UNITS:
        found.append(f"Few units: {run.counted}, where {FEWEST_UNITS} would survive a correction.")
    if run.excluded > MOST_EXCLUDED * run.prompts:
        found.append(
            f"Behaviour lost: {run.excluded} of {run.prompts} prompts don't show it without the edit, and are excluded."
        )
    if run.off_target_kl is not None and run.off_target_kl > HIGHEST_KL:
        found.append(f"The edit changes unrelated prompts: KL {run.off_target_kl:.2g} nats.")
    return found
