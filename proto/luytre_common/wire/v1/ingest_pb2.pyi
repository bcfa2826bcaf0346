from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_UNSPECIFIED: _ClassVar[Compression]
    COMPRESSION_NONE: _ClassVar[Compression]
    COMPRESSION_ZSTD: _ClassVar[Compression]

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
REFUSAL_CODE_UNSPECIFIED: RefusalCode
REFUSAL_CODE_UNKNOWN_TABLE: RefusalCode
REFUSAL_CODE_BAD_ENVELOPE: RefusalCode
REFUSAL_CODE_BAD_CHECKSUM: RefusalCode
REFUSAL_CODE_BAD_BODY: RefusalCode

class AgentMessage(_message.Message):
    __slots__ = ("hello", "batch")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    batch: Batch
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ...) -> None: ...

class CollectorMessage(_message.Message):
    __slots__ = ("welcome", "ack", "refusal")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: Ack
    refusal: Refusal
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "agent_version", "host_name", "boot_id", "operating_system", "kernel", "agent_time_us", "probe")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATING_SYSTEM_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    AGENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    agent_version: str
    host_name: str
    boot_id: str
    operating_system: str
    kernel: str
    agent_time_us: int
    probe: bool
    def __init__(self, protocol: _Optional[int] = ..., agent_version: _Optional[str] = ..., host_name: _Optional[str] = ..., boot_id: _Optional[str] = ..., operating_system: _Optional[str] = ..., kernel: _Optional[str] = ..., agent_time_us: _Optional[int] = ..., probe: _Optional[bool] = ...) -> None: ...

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
    __slots__ = ("table", "boot_id", "stream", "first_sequence", "row_count", "agent_time_us", "first_event_us", "last_event_us", "compression", "body_size", "body_crc32", "body")
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
    def __init__(self, table: _Optional[str] = ..., boot_id: _Optional[str] = ..., stream: _Optional[str] = ..., first_sequence: _Optional[int] = ..., row_count: _Optional[int] = ..., agent_time_us: _Optional[int] = ..., first_event_us: _Optional[int] = ..., last_event_us: _Optional[int] = ..., compression: _Optional[_Union[Compression, str]] = ..., body_size: _Optional[int] = ..., body_crc32: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

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
