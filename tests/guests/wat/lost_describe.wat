;; Describes itself where there is no memory.
(func $describe (result i32) (i32.const -16))
