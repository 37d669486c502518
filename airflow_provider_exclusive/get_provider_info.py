"""
Provider metadata, as Airflow reads it at the start of every command.

The metadata is a literal, and this module imports nothing: an error here would break every ``airflow`` command. A test
checks it against Airflow's own schema and against the defaults in ``config``.
"""


def get_provider_info():  # type: ignore[no-untyped-def]  # noqa: ANN201  # imports nothing, not even typing
    """Return the metadata of this provider."""
    return {
        "package-name": "airflow-provider-exclusive",
        "name": "Exclusive XCom",
        "description": "Task outputs that only their declared consumers can read, sealed at rest.",
        "task-decorators": [
            {
                "name": "exclusive",
                "class-name": "airflow_provider_exclusive.decorators.exclusive.exclusive_task",
            }
        ],
        "hooks": [
            {"integration-name": "Exclusive XCom", "python-modules": ["airflow_provider_exclusive.hooks.exclusive"]}
        ],
        "operators": [
            {
                "integration-name": "Exclusive XCom",
                "python-modules": ["airflow_provider_exclusive.operators.trigger_dagrun"],
            }
        ],
        "integrations": [
            {
                "integration-name": "Exclusive XCom",
                "external-doc-url": "https://github.com/airflow-provider-exclusive/airflow-provider-exclusive/tree/main/docs",
                "tags": ["software"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "exclusive",
                "hook-class-name": "airflow_provider_exclusive.hooks.exclusive.ExclusiveHook",
                "hook-name": "Exclusive XCom",
                "ui-field-behaviour": {
                    "hidden-fields": ["extra"],
                    "relabeling": {"login": "User (ACL)", "schema": "Database number"},
                    "placeholders": {"host": "redis.example.com", "port": "6379", "schema": "0"},
                },
                "conn-fields": {
                    "storage": {
                        "label": "Object store URL",
                        "description": "Instead of a Redis host: s3://bucket/prefix, gs://…, abfs://… or file:///….",
                        "schema": {"type": ["string", "null"]},
                    },
                    "key_prefix": {
                        "label": "Key prefix",
                        "description": "Prefix of every Redis key; 'exclusive:' if empty.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "ssl": {
                        "label": "TLS",
                        "description": "The certificate and host name of the server are always verified.",
                        "schema": {"type": ["boolean", "null"], "default": False},
                    },
                    "ssl_ca_certs": {"label": "CA certificate path", "schema": {"type": ["string", "null"]}},
                    "ssl_certfile": {"label": "Client certificate path", "schema": {"type": ["string", "null"]}},
                    "ssl_keyfile": {"label": "Client key path", "schema": {"type": ["string", "null"]}},
                    "connect_timeout_seconds": {
                        "label": "Connect timeout (seconds)",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    },
                    "read_timeout_seconds": {
                        "label": "Read timeout (seconds)",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    },
                    "deadline_seconds": {
                        "label": "Deadline (seconds)",
                        "description": "For one operation with all its retries.",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    },
                    "retries": {"label": "Retries", "schema": {"type": ["integer", "null"], "minimum": 0}},
                },
            }
        ],
        "cli": ["airflow_provider_exclusive.cli.definition.get_cli_commands"],
        "config": {
            "exclusive": {
                "description": "Exclusive XComs: the store, the keys, and how strict the checks are.",
                "options": {
                    "conn_id": {
                        "description": "Connection of type exclusive (or redis) that names the store; "
                        "empty means the storage option.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "exclusive_default",
                        "default": "",
                    },
                    "storage": {
                        "description": "URL of the store when no connection is named, never with a secret in it; "
                        "empty means a directory 'exclusive' in AIRFLOW_HOME.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://my_aws_conn@bucket/exclusive",
                        "default": "",
                    },
                    "public_key": {
                        "description": "Base64 of the public key that belongs to the first private key.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "sensitive": True,
                        "example": None,
                        "default": "",
                    },
                    "private_key": {
                        "description": "Base64 of 32 random bytes; a comma-separated list for rotation, current key "
                        "first. Empty means derived from [core] fernet_key.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "sensitive": True,
                        "example": None,
                        "default": "",
                    },
                    "inline_bytes": {
                        "description": "Sealed values up to this many bytes are stored in the reference itself.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "512",
                    },
                    "offload_bytes": {
                        "description": "If a store is configured, values of plain tasks are stored there from this "
                        "many encoded bytes on; 0 means never.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "65536",
                    },
                    "max_value_bytes": {
                        "description": "Values that are larger than this many bytes encoded are neither pushed nor "
                        "pulled; the default is the largest size that can be sealed.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": "268435456",
                        "default": "2147483648",
                    },
                    "ttl_seconds": {
                        "description": "Lifetime of a stored value in seconds; 0 means forever.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "2592000",
                    },
                    "allow_cloudpickle": {
                        "description": "Whether tasks may request codec='cloudpickle', which runs code on load.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                    "parse_check": {
                        "description": "What the Dag processor does with a Dag that contradicts its scopes: "
                        "error, warn or off.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "warn",
                        "default": "error",
                    },
                    "audit": {
                        "description": "Which reads are logged: off, denied or all.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "all",
                        "default": "denied",
                    },
                },
            }
        },
    }
