//! Protocol buffers by hand: what a server of vLLM's writes and reads, without the code that the client was generated into.

/// A field of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Number(u64),
    Bytes(Vec<u8>),
    Bits(u32),
}

/// A message in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(crate) fn number(mut self, field: u64, number: u64) -> Self {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    pub(crate) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    /// Numbers as one packed field.
    pub(crate) fn packed(self, field: u64, numbers: &[u32]) -> Self {
        let mut all = Self::default();
        for number in numbers {
            all.varint(u64::from(*number));
        }
        self.message(field, &all)
    }

    /// As gRPC sends it.
    pub(crate) fn framed(&self) -> Vec<u8> {
        let length = (self.0.len() as u32).to_be_bytes();
        [&[0], &length[..], &self.0].concat()
    }
}

/// The numbers in a packed field.
pub(crate) fn unpacked(mut bytes: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        numbers.push(varint(&mut bytes) as u32);
    }
    numbers
}

/// The fields of a message.
pub(crate) fn fields(mut bytes: &[u8]) -> Vec<(u64, Value)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                Value::Bytes(take(&mut bytes, length).to_vec())
            }
            5 => Value::Bits(u32::from_le_bytes(take(&mut bytes, 4).try_into().expect("four bytes"))),
            other => panic!("wire type {other}"),
        };
        all.push((key >> 3, value));
    }
    all
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
    }
    panic!("a number without end");
}
