;; Finds 20,000 things wrong with any config.
(memory (export "memory") 20)
(func $validate (param i32 i32) (result i32)
  (i32.store8 (i32.const 128) (i32.const 1))
  (i32.store (i32.const 132) (i32.const 65536))
  (i32.store (i32.const 136) (i32.const 20000))
  (i32.const 128))
