from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_UNSPECIFIED: _ClassVar[Compression]
    COMPRESSION_NONE: _ClassVar[Compression]
    COMPRESSION_ZSTD: _ClassVar[Compression]

class PolicyState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_STATE_UNSPECIFIED: _ClassVar[PolicyState]
    POLICY_STATE_APPLIED: _ClassVar[PolicyState]
    POLICY_STATE_REFUSED: _ClassVar[PolicyState]
    POLICY_STATE_ROLLED_BACK: _ClassVar[PolicyState]
    POLICY_STATE_TRYING: _ClassVar[PolicyState]
    POLICY_STATE_EXPIRED: _ClassVar[PolicyState]

class RefusalCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_CODE_UNSPECIFIED: _ClassVar[RefusalCode]
    REFUSAL_CODE_UNKNOWN_TABLE: _ClassVar[RefusalCode]
    REFUSAL_CODE_BAD_ENVELOPE: _ClassVar[RefusalCode]
    REFUSAL_CODE_BAD_CHECKSUM: _ClassVar[RefusalCode]
    REFUSAL_CODE_BAD_BODY: _ClassVar[RefusalCode]
COMPRESSION_UNSPECIFIED: Compression
COMPRESSION_NONE: Compression
COMPRESSION_ZSTD: Compression
POLICY_STATE_UNSPECIFIED: PolicyState
POLICY_STATE_APPLIED: PolicyState
POLICY_STATE_REFUSED: PolicyState
POLICY_STATE_ROLLED_BACK: PolicyState
POLICY_STATE_TRYING: PolicyState
POLICY_STATE_EXPIRED: PolicyState
REFUSAL_CODE_UNSPECIFIED: RefusalCode
REFUSAL_CODE_UNKNOWN_TABLE: RefusalCode
REFUSAL_CODE_BAD_ENVELOPE: RefusalCode
REFUSAL_CODE_BAD_CHECKSUM: RefusalCode
REFUSAL_CODE_BAD_BODY: RefusalCode

class AgentMessage(_message.Message):
    __slots__ = ("hello", "batch", "heartbeat", "policy_report", "goodbye", "pong")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    POLICY_REPORT_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    batch: Batch
    heartbeat: Heartbeat
    policy_report: PolicyReport
    goodbye: Goodbye
    pong: Pong
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., policy_report: _Optional[_Union[PolicyReport, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ...) -> None: ...

class CollectorMessage(_message.Message):
    __slots__ = ("welcome", "ack", "refusal", "policy", "ping")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: Ack
    refusal: Refusal
    policy: Policy
    ping: Ping
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "agent_version", "host_name", "boot_id", "operating_system", "kernel", "agent_time_us", "probe", "machine_id", "kernel_boot_id", "policy_version")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATING_SYSTEM_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    AGENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    KERNEL_BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    agent_version: str
    host_name: str
    boot_id: str
    operating_system: str
    kernel: str
    agent_time_us: int
    probe: bool
    machine_id: str
    kernel_boot_id: str
    policy_version: int
    def __init__(self, protocol: _Optional[int] = ..., agent_version: _Optional[str] = ..., host_name: _Optional[str] = ..., boot_id: _Optional[str] = ..., operating_system: _Optional[str] = ..., kernel: _Optional[str] = ..., agent_time_us: _Optional[int] = ..., probe: _Optional[bool] = ..., machine_id: _Optional[str] = ..., kernel_boot_id: _Optional[str] = ..., policy_version: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "collector_id", "collector_time_us", "credit", "agent_id")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    COLLECTOR_ID_FIELD_NUMBER: _ClassVar[int]
    COLLECTOR_TIME_US_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    collector_id: str
    collector_time_us: int
    credit: int
    agent_id: str
    def __init__(self, protocol: _Optional[int] = ..., collector_id: _Optional[str] = ..., collector_time_us: _Optional[int] = ..., credit: _Optional[int] = ..., agent_id: _Optional[str] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("table", "boot_id", "stream", "first_sequence", "row_count", "agent_time_us", "first_event_us", "last_event_us", "compression", "body_size", "body_crc32", "body", "chain")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    AGENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    FIRST_EVENT_US_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_US_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    BODY_SIZE_FIELD_NUMBER: _ClassVar[int]
    BODY_CRC32_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    table: str
    boot_id: str
    stream: str
    first_sequence: int
    row_count: int
    agent_time_us: int
    first_event_us: int
    last_event_us: int
    compression: Compression
    body_size: int
    body_crc32: int
    body: bytes
    chain: bytes
    def __init__(self, table: _Optional[str] = ..., boot_id: _Optional[str] = ..., stream: _Optional[str] = ..., first_sequence: _Optional[int] = ..., row_count: _Optional[int] = ..., agent_time_us: _Optional[int] = ..., first_event_us: _Optional[int] = ..., last_event_us: _Optional[int] = ..., compression: _Optional[_Union[Compression, str]] = ..., body_size: _Optional[int] = ..., body_crc32: _Optional[int] = ..., body: _Optional[bytes] = ..., chain: _Optional[bytes] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("agent_time_us", "batches_waiting", "bytes_waiting", "oldest_waiting_us", "degradation", "degradation_reason", "sources", "sources_off")
    AGENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    BATCHES_WAITING_FIELD_NUMBER: _ClassVar[int]
    BYTES_WAITING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_WAITING_US_FIELD_NUMBER: _ClassVar[int]
    DEGRADATION_FIELD_NUMBER: _ClassVar[int]
    DEGRADATION_REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_OFF_FIELD_NUMBER: _ClassVar[int]
    agent_time_us: int
    batches_waiting: int
    bytes_waiting: int
    oldest_waiting_us: int
    degradation: int
    degradation_reason: str
    sources: _containers.RepeatedCompositeFieldContainer[SourceState]
    sources_off: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agent_time_us: _Optional[int] = ..., batches_waiting: _Optional[int] = ..., bytes_waiting: _Optional[int] = ..., oldest_waiting_us: _Optional[int] = ..., degradation: _Optional[int] = ..., degradation_reason: _Optional[str] = ..., sources: _Optional[_Iterable[_Union[SourceState, _Mapping]]] = ..., sources_off: _Optional[_Iterable[str]] = ...) -> None: ...

class SourceState(_message.Message):
    __slots__ = ("name", "available", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    available: bool
    reason: str
    def __init__(self, name: _Optional[str] = ..., available: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("agent_time_us", "reason")
    AGENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent_time_us: int
    reason: str
    def __init__(self, agent_time_us: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("version", "document", "signature")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    version: int
    document: bytes
    signature: bytes
    def __init__(self, version: _Optional[int] = ..., document: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class PolicyReport(_message.Message):
    __slots__ = ("version", "state", "message")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    version: int
    state: PolicyState
    message: str
    def __init__(self, version: _Optional[int] = ..., state: _Optional[_Union[PolicyState, str]] = ..., message: _Optional[str] = ...) -> None: ...

class EnrolRequest(_message.Message):
    __slots__ = ("token", "signing_request", "host_name")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    token: str
    signing_request: bytes
    host_name: str
    def __init__(self, token: _Optional[str] = ..., signing_request: _Optional[bytes] = ..., host_name: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("signing_request",)
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    signing_request: bytes
    def __init__(self, signing_request: _Optional[bytes] = ...) -> None: ...

class Certificate(_message.Message):
    __slots__ = ("certificate", "authority", "policy_key", "port")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    POLICY_KEY_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    authority: bytes
    policy_key: bytes
    port: int
    def __init__(self, certificate: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., policy_key: _Optional[bytes] = ..., port: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("boot_id", "stream", "through_sequence", "credit")
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    boot_id: str
    stream: str
    through_sequence: int
    credit: int
    def __init__(self, boot_id: _Optional[str] = ..., stream: _Optional[str] = ..., through_sequence: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("boot_id", "stream", "first_sequence", "code", "message")
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    boot_id: str
    stream: str
    first_sequence: int
    code: RefusalCode
    message: str
    def __init__(self, boot_id: _Optional[str] = ..., stream: _Optional[str] = ..., first_sequence: _Optional[int] = ..., code: _Optional[_Union[RefusalCode, str]] = ..., message: _Optional[str] = ...) -> None: ...
