//! Components that are right and that take long, or much memory, to compile. They are no plugins.

/// A component with so many functions of so many operations each.
pub(crate) fn component(functions: u32, operations: u32) -> Vec<u8> {
    let mut body = vec![0];
    for n in 0..operations {
        // local 0 = (local 0 * n) + 1
        body.extend([0x20, 0, 0x41]);
        signed(i64::from(n) | 1, &mut body);
        body.extend([0x6c, 0x41, 1, 0x6a, 0x21, 0]);
    }
    body.extend([0x20, 0, 0x0b]);
    let types = [1, 0x60, 1, 0x7f, 1, 0x7f];
    let mut declared = unsigned(functions);
    declared.resize(declared.len() + functions as usize, 0);
    let mut code = unsigned(functions);
    for _ in 0..functions {
        code.extend(unsigned(u32::try_from(body.len()).unwrap()));
        code.extend(&body);
    }
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in [(1, &types[..]), (3, &declared), (10, &code)] {
        module.extend(section(id, content));
    }
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.extend(section(1, &module));
    component
}

/// One that keeps a compiler busy for long, and can be stopped at any moment.
pub(crate) fn slow() -> Vec<u8> {
    component(400, 10_000)
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut section = vec![id];
    section.extend(unsigned(u32::try_from(content.len()).unwrap()));
    section.extend(content);
    section
}

fn unsigned(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

fn signed(mut value: i64, to: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        let is_last = (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0);
        to.push(if is_last { low } else { low | 0x80 });
        if is_last {
            return;
        }
    }
}
