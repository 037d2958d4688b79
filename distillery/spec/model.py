"""The base of all contract models: frozen, camelCase in YAML and JSON, unknown fields refused."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen value. Write it with ``dump``: aliases as in YAML, absent fields left out."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    def dump(self) -> dict[str, object]:
        """The JSON object, field names as the user writes them, ``None`` left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
