//! Memory that goes to Arrow and comes back, so that a builder allocates once and not once per batch.

use arrow_buffer::{ArrowNativeType, Buffer};

/// A vector whose memory can be lent to an Arrow buffer without a copy.
#[derive(Debug)]
pub(super) struct Store<T: ArrowNativeType> {
    pub items: Vec<T>,
    lent: Option<Buffer>,
}

impl<T: ArrowNativeType> Store<T> {
    pub fn new() -> Self {
        Self { items: Vec::new(), lent: None }
    }

    /// The items as an Arrow buffer; the store is empty until [`Store::reclaim`].
    pub fn lend(&mut self) -> Buffer {
        let buffer = Buffer::from_vec(std::mem::take(&mut self.items));
        self.lent = Some(buffer.clone());
        buffer
    }

    /// Takes the memory back, empty, once every array made of it is gone.
    pub fn reclaim(&mut self) {
        if let Some(Ok(mut items)) = self.lent.take().map(Buffer::into_vec) {
            items.clear();
            self.items = items;
        }
    }
}
