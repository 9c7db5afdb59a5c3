(module
  ;; An eviction policy: first in, first out. For each slot below 65536 a node of 24 bytes in a ring:
  ;; next, previous, size, linked. Node 0 is the ring's own, and slot n has node n + 1.
  (; common ;)

  (func $node (param $slot i32) (result i32)
    (i32.add (i32.const 65536) (i32.mul (i32.add (local.get $slot) (i32.const 1)) (i32.const 24))))

  (func $empty_ring
    (if (i32.eqz (i32.load (i32.const 65536))) (then
      (i32.store (i32.const 65536) (i32.const 65536))
      (i32.store (i32.const 65540) (i32.const 65536)))))

  (func $link (param $slot i32) (param $size i64)
    (local $node i32) (local $last i32)
    (call $empty_ring)
    (local.set $node (call $node (local.get $slot)))
    (local.set $last (i32.load (i32.const 65540)))
    (i32.store (local.get $node) (i32.const 65536))
    (i32.store offset=4 (local.get $node) (local.get $last))
    (i64.store offset=8 (local.get $node) (local.get $size))
    (i32.store offset=16 (local.get $node) (i32.const 1))
    (i32.store (local.get $last) (local.get $node))
    (i32.store (i32.const 65540) (local.get $node)))

  (func $unlink (param $node i32)
    (local $next i32) (local $previous i32)
    (if (i32.eqz (i32.load offset=16 (local.get $node))) (then (return)))
    (local.set $next (i32.load (local.get $node)))
    (local.set $previous (i32.load offset=4 (local.get $node)))
    (i32.store (local.get $previous) (local.get $next))
    (i32.store offset=4 (local.get $next) (local.get $previous))
    (i32.store offset=16 (local.get $node) (i32.const 0)))

  ;; Names the first that came, until so many bytes are freed; how many is the answer, the list is at 1024.
  (func $victims (param $needed i64) (result i32)
    (local $freed i64) (local $count i32) (local $node i32)
    (call $empty_ring)
    (block $end (loop $next
      (br_if $end (i64.ge_u (local.get $freed) (local.get $needed)))
      (br_if $end (i32.eq (local.get $count) (i32.const 4096)))
      (local.set $node (i32.load (i32.const 65536)))
      (br_if $end (i32.eq (local.get $node) (i32.const 65536)))
      (local.set $freed (i64.add (local.get $freed) (i64.load offset=8 (local.get $node))))
      (i32.store (i32.add (i32.const 1024) (i32.mul (local.get $count) (i32.const 4)))
        (i32.sub (i32.div_u (i32.sub (local.get $node) (i32.const 65536)) (i32.const 24)) (i32.const 1)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (call $unlink (local.get $node))
      (br $next)))
    (local.get $count))

  (func (export "dataverse:policy/eviction@0.1.0#set-capacity") (param $bytes i64)
    (; evil: set-capacity ;)
    (call $done))

  (func (export "dataverse:policy/eviction@0.1.0#restore") (param $entries i32) (param $count i32)
    (; evil: restore ;)
    (block $end (loop $next
      (br_if $end (i32.eqz (local.get $count)))
      (call $link (i32.load (local.get $entries)) (i64.load offset=16 (local.get $entries)))
      (local.set $entries (i32.add (local.get $entries) (i32.const 40)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
    (call $done))

  (func (export "dataverse:policy/eviction@0.1.0#hit") (param $slots i32) (param $count i32)
    (; evil: hit ;)
    (call $done))

  (func (export "dataverse:policy/eviction@0.1.0#admit")
    (param $slot i32) (param $file i64) (param $size i64) (param $cost i32) (param $now i64)
    (param $needed i64) (result i32)
    (; evil: admit ;)
    (i32.store8 (i32.const 0) (i32.const 0))
    (i32.store (i32.const 4) (i32.const 1024))
    (i32.store (i32.const 8) (call $victims (local.get $needed)))
    (call $link (local.get $slot) (local.get $size))
    (call $done)
    (i32.const 0))

  (func (export "dataverse:policy/eviction@0.1.0#make-room") (param $needed i64) (param $now i64) (result i32)
    (; evil: make-room ;)
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (call $victims (local.get $needed)))
    (call $done)
    (i32.const 0))

  (func (export "dataverse:policy/eviction@0.1.0#removed") (param $slots i32) (param $count i32)
    (; evil: removed ;)
    (block $end (loop $next
      (br_if $end (i32.eqz (local.get $count)))
      (call $unlink (call $node (i32.load (local.get $slots))))
      (local.set $slots (i32.add (local.get $slots) (i32.const 4)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
    (call $done)))
