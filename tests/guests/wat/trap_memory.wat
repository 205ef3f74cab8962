;; Reads where there is no memory.
(func $evaluate (param i32 i32 i32) (result i32) (i32.load (i32.const -4)))
