//! The file that `torch.jit.load` reads: a zip archive of code, of pickled attributes, and of the bytes of tensors.

use super::script::Plain;

/// The class in the code.
pub(super) const CLASS: &str = "Network";
/// The class with the module that it lies in, which says where in the archive its code lies.
pub(super) const QUALIFIED: &str = "__torch__.gantlet.Network";

/// The archive of a module with these attributes, and a text for whoever asks for `about.json`. The same bytes for the
/// same content.
pub(super) fn torchscript(code: &str, attributes: &[(String, &Plain)], about: &str) -> Vec<u8> {
    let mut zip = Zip::default();
    zip.add("data.pkl", &module(attributes));
    zip.add("code/__torch__/gantlet.py", code.as_bytes());
    for (index, (_, tensor)) in attributes.iter().enumerate() {
        let bytes: Vec<u8> = tensor.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        zip.add(&format!("data/{index}"), &bytes);
    }
    // An empty tuple.
    zip.add("constants.pkl", b"\x80\x02).");
    zip.add("extra/about.json", about.as_bytes());
    zip.add("byteorder", b"little");
    // The version of the format; a higher one only says that operators of the code changed their meaning.
    zip.add("version", b"3\n");
    zip.finish()
}

/// The module as a pickle of protocol 2: its class, and a dictionary of its attributes.
fn module(attributes: &[(String, &Plain)]) -> Vec<u8> {
    let mut pickle = Pickle(b"\x80\x02".to_vec());
    pickle.global("__torch__.gantlet", CLASS);
    pickle.raw(b")\x81}(");
    for (index, (name, tensor)) in attributes.iter().enumerate() {
        pickle.text(name);
        pickle.tensor(index, &tensor.shape);
    }
    pickle.text("training");
    pickle.raw(b"\x89ub.");
    pickle.0
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.raw(format!("c{module}\n{name}\n").as_bytes());
    }

    fn text(&mut self, text: &str) {
        self.raw(b"X");
        self.raw(&four(text.len()));
        self.raw(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.raw(b"J");
        self.raw(&i32::try_from(number).expect("a tensor has fewer than 2³¹ numbers").to_le_bytes());
    }

    fn numbers(&mut self, numbers: impl IntoIterator<Item = usize>) {
        self.raw(b"(");
        numbers.into_iter().for_each(|n| self.number(n));
        self.raw(b"t");
    }

    /// `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
    fn tensor(&mut self, index: usize, shape: &[usize]) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.raw(b"((");
        self.text("storage");
        self.global("torch", "FloatStorage");
        self.text(&index.to_string());
        self.text("cpu");
        self.number(shape.iter().product());
        self.raw(b"tQ");
        self.number(0);
        self.numbers(shape.iter().copied());
        self.numbers((1..=shape.len()).map(|i| shape[i..].iter().product()));
        self.raw(b"\x89");
        self.global("collections", "OrderedDict");
        self.raw(b")RtR");
    }
}

/// A zip archive of stored files in one folder.
#[derive(Default)]
struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    files: u16,
}

impl Zip {
    fn add(&mut self, name: &str, content: &[u8]) {
        let name = format!("network/{name}");
        let at = self.bytes.len();
        let mut crc = flate2::Crc::new();
        crc.update(content);
        // Version 2.0, no flags, stored, at the beginning of 1980.
        let mut head = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        head.extend(crc.sum().to_le_bytes());
        head.extend(four(content.len()));
        head.extend(four(content.len()));
        head.extend(two(name.len()));
        head.extend([0, 0]);
        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&head);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(content);
        self.directory.extend(b"PK\x01\x02\x14\x00");
        self.directory.extend(&head);
        // No remark, the first disk, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(four(at));
        self.directory.extend(name.as_bytes());
        self.files += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        let at = self.bytes.len();
        self.bytes.extend(&self.directory);
        self.bytes.extend(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend(self.files.to_le_bytes());
        self.bytes.extend(self.files.to_le_bytes());
        self.bytes.extend(four(self.directory.len()));
        self.bytes.extend(four(at));
        self.bytes.extend([0, 0]);
        self.bytes
    }
}

fn four(n: usize) -> [u8; 4] {
    u32::try_from(n).expect("an archive of less than 4 GB").to_le_bytes()
}

fn two(n: usize) -> [u8; 2] {
    u16::try_from(n).expect("a name of less than 64 kB").to_le_bytes()
}
