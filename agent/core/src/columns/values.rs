//! The values of one column, in the layout that Arrow wants.

use std::sync::Arc;

use arrow_array::types::{Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, DictionaryArray, FixedSizeBinaryArray, Int32Array, ListArray, PrimitiveArray,
    StringArray,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field};

use super::Kind;
use super::dictionary::Dictionary;
use super::store::Store;

/// Strings, one after the other, with the offset of each.
#[derive(Debug)]
pub(super) struct Strings {
    offsets: Store<i32>,
    bytes: Store<u8>,
}

impl Strings {
    pub fn new() -> Self {
        let mut new = Self { offsets: Store::new(), bytes: Store::new() };
        new.offsets.items.push(0);
        new
    }

    pub fn len(&self) -> usize {
        self.offsets.items.len() - 1
    }

    pub fn get(&self, index: usize) -> &[u8] {
        let range = self.offsets.items[index] as usize..self.offsets.items[index + 1] as usize;
        &self.bytes.items[range]
    }

    /// Appends a string. One that would take the column past what 32-bit offsets reach is stored empty; builders are
    /// sealed long before.
    pub fn push(&mut self, value: &str) {
        if self.bytes.items.len() + value.len() <= i32::MAX as usize {
            self.bytes.items.extend_from_slice(value.as_bytes());
        }
        self.offsets.items.push(self.bytes.items.len() as i32);
    }

    pub fn array(&mut self) -> Result<StringArray, ArrowError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets.lend()));
        StringArray::try_new(offsets, self.bytes.lend(), None)
    }

    pub fn reclaim(&mut self) {
        self.offsets.reclaim();
        self.bytes.reclaim();
        self.offsets.items.push(0);
    }
}

/// Where each row's list ends among the items.
#[derive(Debug)]
pub(super) struct Ends(Store<i32>);

impl Ends {
    fn new() -> Self {
        let mut store = Store::new();
        store.items.push(0);
        Self(store)
    }

    fn add(&mut self, items: usize) {
        let last = self.0.items[self.0.items.len() - 1];
        self.0.items.push(last + items as i32);
    }

    fn list(&mut self, items: ArrayRef) -> Result<ArrayRef, ArrowError> {
        let field = Arc::new(Field::new("item", items.data_type().clone(), true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.0.lend()));
        Ok(Arc::new(ListArray::try_new(field, offsets, items, None)?))
    }

    fn reclaim(&mut self) {
        self.0.reclaim();
        self.0.items.push(0);
    }
}

/// The values of one column.
#[derive(Debug)]
pub(super) enum Values {
    U8(Store<u8>),
    U16(Store<u16>),
    U32(Store<u32>),
    U64(Store<u64>),
    I32(Store<i32>),
    Time(Store<i64>),
    Ip(Store<u8>),
    Text(Strings),
    Name(Store<i32>, Dictionary),
    Texts(Ends, Strings),
    U32s(Ends, Store<u32>),
}

impl Values {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::U8 => Self::U8(Store::new()),
            Kind::U16 => Self::U16(Store::new()),
            Kind::U32 => Self::U32(Store::new()),
            Kind::U64 => Self::U64(Store::new()),
            Kind::I32 => Self::I32(Store::new()),
            Kind::Time => Self::Time(Store::new()),
            Kind::Ip => Self::Ip(Store::new()),
            Kind::Text => Self::Text(Strings::new()),
            Kind::Name => Self::Name(Store::new(), Dictionary::new()),
            Kind::Texts => Self::Texts(Ends::new(), Strings::new()),
            Kind::U32s => Self::U32s(Ends::new(), Store::new()),
        }
    }

    pub fn rows(&self) -> usize {
        match self {
            Self::U8(store) => store.items.len(),
            Self::U16(store) => store.items.len(),
            Self::U32(store) => store.items.len(),
            Self::U64(store) => store.items.len(),
            Self::I32(store) | Self::Name(store, _) => store.items.len(),
            Self::Time(store) => store.items.len(),
            Self::Ip(store) => store.items.len() / 16,
            Self::Text(strings) => strings.len(),
            Self::Texts(ends, _) | Self::U32s(ends, _) => ends.0.items.len() - 1,
        }
    }

    pub fn texts(ends: &mut Ends, strings: &mut Strings, values: &[String]) {
        for value in values {
            strings.push(value);
        }
        ends.add(values.len());
    }

    pub fn u32s(ends: &mut Ends, items: &mut Store<u32>, values: &[u32]) {
        items.items.extend_from_slice(values);
        ends.add(values.len());
    }

    /// The values as an Arrow array; the column is empty until [`Values::reclaim`].
    pub fn array(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::U8(store) => primitive::<UInt8Type>(store),
            Self::U16(store) => primitive::<UInt16Type>(store),
            Self::U32(store) => primitive::<UInt32Type>(store),
            Self::U64(store) => primitive::<UInt64Type>(store),
            Self::I32(store) => primitive::<Int32Type>(store),
            Self::Time(store) => Arc::new(
                PrimitiveArray::<TimestampMicrosecondType>::new(store.lend().into(), None).with_timezone("UTC"),
            ),
            Self::Ip(store) => Arc::new(FixedSizeBinaryArray::try_new(16, store.lend(), None)?),
            Self::Text(strings) => Arc::new(strings.array()?),
            Self::Name(store, dictionary) => {
                let numbers = Int32Array::new(store.lend().into(), None);
                Arc::new(DictionaryArray::<Int32Type>::try_new(numbers, Arc::new(dictionary.values.array()?))?)
            }
            Self::Texts(ends, strings) => ends.list(Arc::new(strings.array()?))?,
            Self::U32s(ends, items) => ends.list(primitive::<UInt32Type>(items))?,
        })
    }

    /// Takes back the memory lent to the last array; the column is empty.
    pub fn reclaim(&mut self) {
        match self {
            Self::U8(store) | Self::Ip(store) => store.reclaim(),
            Self::U16(store) => store.reclaim(),
            Self::U32(store) => store.reclaim(),
            Self::U64(store) => store.reclaim(),
            Self::I32(store) => store.reclaim(),
            Self::Time(store) => store.reclaim(),
            Self::Text(strings) => strings.reclaim(),
            Self::Name(store, dictionary) => {
                store.reclaim();
                dictionary.values.reclaim();
                dictionary.reset();
            }
            Self::Texts(ends, strings) => {
                ends.reclaim();
                strings.reclaim();
            }
            Self::U32s(ends, items) => {
                ends.reclaim();
                items.reclaim();
            }
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(store: &mut Store<T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(store.lend().into(), None))
}

impl Kind {
    /// The Arrow type, exactly as `Kind.arrow` in `luytre_common.schema.model` names it.
    pub(super) fn arrow(self) -> DataType {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        match self {
            Self::U8 => DataType::UInt8,
            Self::U16 => DataType::UInt16,
            Self::U32 => DataType::UInt32,
            Self::U64 => DataType::UInt64,
            Self::I32 => DataType::Int32,
            Self::Time => DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into())),
            Self::Ip => DataType::FixedSizeBinary(16),
            Self::Text => DataType::Utf8,
            Self::Name => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Texts => list(DataType::Utf8),
            Self::U32s => list(DataType::UInt32),
        }
    }
}
