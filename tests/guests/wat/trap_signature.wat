;; Calls a function as if it were another one.
(table 1 funcref)
(type $f (func (result i32)))
(func $other (param i64))
(elem (i32.const 0) $other)
(func $evaluate (param i32 i32 i32) (result i32) (call_indirect (type $f) (i32.const 0)))
