"""Is what is loaded what a hypothesis is about."""

from lab import HypothesisBody
from service import Service
from ui.wizard_draft import Writing


def fits(body: HypothesisBody | Writing, service: Service) -> bool:
    """By fingerprints; where a draft has none, by name."""
    model = service.model
    if model is None:
        return False
    if body.model_fingerprint and body.basis_fingerprint:
        return (body.model_fingerprint, body.basis_fingerprint) == (model.model_fingerprint, model.basis_fingerprint)
    state = service.model_state()
    return body.model in (model.name, state.name) and body.features in (model.basis.name, state.features)


def whole(body: HypothesisBody, service: Service) -> HypothesisBody:
    """With its split, and with the fingerprints of what is loaded, if that is what it names."""
    body = body.with_split()
    if (model := service.model) is not None and fits(body, service):
        prints = {"model_fingerprint": model.model_fingerprint, "basis_fingerprint": model.basis_fingerprint}
        body = body.model_copy(update={name: getattr(body, name) or value for name, value in prints.items()})
    return body
