"""templates: one row a template."""

from __future__ import annotations

from collections.abc import Iterator

from ..domain.messages import Recorded
from ..domain.template import TemplateCreated, TemplatePublished, TemplateUnpublished
from .projection import Change, Handler, Insert, Rows, Update
from .tables import TEMPLATES


def template_created(recorded: Recorded, event: TemplateCreated, rows: Rows) -> Iterator[Change]:
    yield Insert(
        TEMPLATES.name,
        {
            "id": recorded.stream_id,
            "name": event.name,
            "description": event.description,
            "category": event.category,
            "structure": event.structure,
            "default_config": event.default_config,
            "workflow_template": event.workflow_template,
            "is_public": event.is_public,
            "created_by": event.created_by,
            "created_at": event.occurred_at,
            "updated_at": event.occurred_at,
        },
    )


def template_moved(recorded: Recorded, event: TemplatePublished | TemplateUnpublished, rows: Rows) -> Iterator[Change]:
    values = {"is_public": isinstance(event, TemplatePublished), "updated_at": event.occurred_at}
    yield Update(TEMPLATES.name, recorded.stream_id, values)


HANDLERS: dict[type, Handler] = {
    TemplateCreated: template_created,
    TemplatePublished: template_moved,
    TemplateUnpublished: template_moved,
}
