"""What the settings of all services share: where they come from, and how they are named."""

from typing import Annotated, Final

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

DAY_S: Final = 86_400
MIB: Final = 1 << 20
Port = Annotated[int, Field(ge=1, le=65_535)]


class ServiceSettings(BaseSettings):
    """What all settings share: frozen, closed, named AUDIT_<SERVICE>_<SETTING>."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="AUDIT_",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `runtime.configuration` hands over."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def section(cls) -> str:
        """Name of the file's section: the prefix between AUDIT_ and the setting."""
        return cls.model_config["env_prefix"].removeprefix("AUDIT_").rstrip("_").lower()

    @classmethod
    def variable(cls, field: str) -> str:
        """Name of the environment variable of a setting."""
        return f"{cls.model_config['env_prefix']}{field.upper()}"
