;; Answers and keeps the pod that it was lent.
(func $evaluate (param i32 i32 i32) (result i32) (i32.const 192))
