//! Estimates what a component costs to compile, by counting its parts before anything is compiled.
//!
//! The compiler has no time limit, and a few kilobytes can keep it busy for hours. Its time is about linear in the
//! bytes of code except for the following, which are bounded:
//!
//! - *Live values times control flow.* Each local can become an argument of each block, and each branch or call
//!   passes as many values as the widest signature has. The work of a function is counted as (locals, parameters
//!   and widest signature) × (blocks + branches + table targets + calls). Loops count multiply, the more so the
//!   deeper they are nested.
//! - *The size of one function*, because of register allocation.
//! - *Locals*, each of which is initialised to 0, and *nested blocks*, each counted once for every block around
//!   it.
//! - *Functions, calls and instructions.* Even an empty function costs as much as about a hundred instructions,
//!   because of the code generated around it; a call costs about ten.
//! - *Instances of instances.* A component that instantiates another twice, which instantiates a third twice, and
//!   so on, is small and expands without end. The product of the numbers of instances in each is an upper bound of
//!   the number after expansion.
//!
//! The bounds leave enough space for compiled language runtimes. CPython, as bundled by componentize-py 0.25, has
//! 13 thousand functions, the largest of 76 kB; its work is 0.35 million units in that function and 18 million in
//! total.

use wasmparser::{BinaryReaderError, ComponentInstance, FunctionBody, Operator, Payload, TypeRef};

use crate::limits;
use crate::refusal::{Refusal, cut};

/// A loop costs as much as this many branches, because each value may differ in each iteration; and as much again
/// for every four loops around it.
const LOOP_TURNS: u64 = 10;

/// The counts so far.
#[derive(Default)]
pub(crate) struct Cost {
    functions: u64,
    calls: u64,
    instructions: u64,
    locals: u64,
    levels: u64,
    work: u64,
    /// Values in the widest signature of the current module.
    widest: u64,
    /// Parameters of each type of the current module.
    parameters: Vec<u64>,
    /// The type of each function of the current module that has a body, and the number of bodies seen.
    declared: Vec<u32>,
    bodies: usize,
    /// For each component that has begun and not ended, the number of components instantiated in it; modules are
    /// in this list too.
    open: Vec<u64>,
    /// Upper bound of the instances after expansion; 0 before the first component has ended.
    parts: u64,
}

impl Cost {
    /// Counts one part of the file.
    pub(crate) fn count(&mut self, payload: &Payload<'_>) -> Result<(), Refusal> {
        self.try_count(payload)
            .map_err(|error| Refusal::Compile(cut(&error.to_string())))?;
        within(
            "functions",
            self.functions,
            limits::POLICY_FUNCTIONS_MAX as u64,
        )?;
        within("units of work", self.work, limits::POLICY_WORK_MAX)?;
        within(
            "instances of instances",
            self.parts,
            limits::POLICY_PARTS_MAX,
        )?;
        if let Payload::CodeSectionEntry(body) = payload {
            let most = limits::POLICY_FUNCTION_BYTES_MAX as u64;
            within("bytes in one function", body.range().len() as u64, most)?;
            let work = self
                .work_of(body)
                .map_err(|e| Refusal::Compile(cut(&e.to_string())))?;
            within(
                "units of work in one function",
                work,
                limits::POLICY_FUNCTION_WORK_MAX,
            )?;
            self.work = self.work.saturating_add(work);
            within("locals", self.locals, limits::POLICY_LOCALS_MAX)?;
            within(
                "blocks within blocks",
                self.levels,
                limits::POLICY_LEVELS_MAX,
            )?;
            within("calls", self.calls, limits::POLICY_CALLS_MAX)?;
            let most = limits::POLICY_INSTRUCTIONS_MAX;
            within("instructions", self.instructions, most)?;
        }
        Ok(())
    }

    fn try_count(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::Version { .. } => self.open.push(0),
            Payload::End(_) => {
                let instances = self.open.pop().unwrap_or(0);
                self.parts = self.parts.max(1).saturating_mul(instances.max(1));
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if let ComponentInstance::Instantiate { .. } = instance?
                        && let Some(instances) = self.open.last_mut()
                    {
                        *instances += 1;
                    }
                }
            }
            Payload::ModuleSection { .. } => {
                self.widest = 0;
                self.bodies = 0;
                self.parameters.clear();
                self.declared.clear();
            }
            Payload::TypeSection(section) => {
                for group in section.clone() {
                    for sub_type in group?.into_types() {
                        self.count_type(&sub_type);
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for declared in section.clone() {
                    self.declared.push(declared?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    self.functions += u64::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionStart { count, .. } => self.functions += u64::from(*count),
            _ => {}
        }
        Ok(())
    }

    fn count_type(&mut self, sub_type: &wasmparser::SubType) {
        let inner = &sub_type.composite_type.inner;
        let (parameters, results) = match inner {
            wasmparser::CompositeInnerType::Func(func) => {
                (func.params().len(), func.results().len())
            }
            _ => (0, 0),
        };
        self.parameters.push(parameters as u64);
        self.widest = self.widest.max((parameters + results) as u64);
    }

    fn work_of(&mut self, body: &FunctionBody<'_>) -> Result<u64, BinaryReaderError> {
        let declared = self.declared.get(self.bodies).copied();
        self.bodies += 1;
        let parameters = declared.and_then(|index| self.parameters.get(index as usize));
        let mut values = self.widest + parameters.copied().unwrap_or(0);
        for locals in body.get_locals_reader()? {
            values += u64::from(locals?.0);
        }
        let mut turns = Turns::default();
        for operator in body.get_operators_reader()? {
            turns.count(&operator?);
            self.instructions += 1;
        }
        self.calls += turns.calls;
        self.locals = self.locals.saturating_add(values);
        self.levels = self.levels.saturating_add(turns.levels);
        Ok(values.saturating_mul(turns.sum))
    }
}

/// Where the control flow of one function can branch to.
#[derive(Default)]
struct Turns {
    sum: u64,
    calls: u64,
    /// The nesting depths of all constructs, summed.
    levels: u64,
    /// Whether each open construct is a loop, outermost first.
    open: Vec<bool>,
    /// The number of open loops.
    open_loops: u64,
}

impl Turns {
    fn count(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Loop { .. } => {
                self.sum += LOOP_TURNS * (1 + self.open_loops / 4);
                self.begin(true);
            }
            Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                self.sum += 1;
                self.begin(false);
            }
            Operator::End => {
                let ended_loop = self.open.pop() == Some(true);
                self.open_loops -= u64::from(ended_loop);
            }
            Operator::BrTable { targets } => self.sum += 1 + u64::from(targets.len()),
            Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. } => {
                self.sum += 1;
                self.calls += 1;
            }
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } | Operator::Return => {
                self.sum += 1;
            }
            _ => {}
        }
    }

    fn begin(&mut self, is_loop: bool) {
        self.levels += self.open.len() as u64;
        self.open.push(is_loop);
        self.open_loops += u64::from(is_loop);
    }
}

fn within(what: &'static str, found: u64, most: u64) -> Result<(), Refusal> {
    if found <= most {
        return Ok(());
    }
    Err(Refusal::TooCostly { what, found, most })
}

#[cfg(test)]
mod tests {
    use wasmparser::Parser;

    use super::*;

    fn counted(wat: &str) -> Result<Cost, Refusal> {
        let bytes = wat::parse_str(wat).expect("the text is right");
        let mut cost = Cost::default();
        for payload in Parser::new(0).parse_all(&bytes) {
            cost.count(&payload.expect("the text is right"))?;
        }
        Ok(cost)
    }

    fn too_much_of(wat: &str) -> &'static str {
        match counted(wat).err() {
            Some(Refusal::TooCostly { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn work_is_live_values_times_turns() {
        let wat = "(module (func (param i32 i32) (result i32) (local i64)
            (block (br_if 0 (local.get 0)) (br_table 0 0 0 (local.get 1))) (i32.const 7)))";
        // Two parameters, one local and a signature of three; a block, a branch, a table of two and its default.
        assert_eq!(counted(wat).expect("the text is right").work, 6 * 5);
    }

    #[test]
    fn a_function_of_many_locals_and_many_turns_is_too_much() {
        let locals = "i64 ".repeat(5000);
        let blocks = "(block)".repeat(5000);
        let wat = format!("(component (core module (func (local {locals}) {blocks})))");
        assert_eq!(too_much_of(&wat), "units of work in one function");
    }

    #[test]
    fn loops_in_loops_are_soon_too_much() {
        let nested = |depth: usize| {
            let (begin, end) = ("(loop ".repeat(depth), ")".repeat(depth));
            let locals = "i32 ".repeat(100);
            format!("(component (core module (func (local {locals}) {begin} {end})))")
        };
        assert!(counted(&nested(50)).is_ok());
        assert_eq!(too_much_of(&nested(200)), "units of work in one function");
    }

    #[test]
    fn a_function_of_a_megabyte_is_too_much() {
        let wat = format!(
            "(component (core module (func {})))",
            "nop ".repeat(1 << 20)
        );
        assert_eq!(too_much_of(&wat), "bytes in one function");
    }

    #[test]
    fn very_many_functions_are_too_much() {
        let wat = format!("(component (core module {}))", "(func)".repeat(40_001));
        assert_eq!(too_much_of(&wat), "functions");
    }

    #[test]
    fn very_many_calls_are_too_much_and_so_are_instructions() {
        let of = |body: &str, functions: usize| {
            let functions = format!("(func {body})").repeat(functions);
            format!("(component (core module (func $f) {functions}))")
        };
        let calls = "(call $f)".repeat(50_000);
        assert!(counted(&of(&calls, 10)).is_ok());
        assert_eq!(too_much_of(&of(&calls, 31)), "calls");
        assert_eq!(
            too_much_of(&of(&"nop ".repeat(400_000), 26)),
            "instructions"
        );
    }

    #[test]
    fn locals_and_nesting_are_bounded_though_nothing_is_done_with_them() {
        let locals = "i64 ".repeat(40_000);
        let functions = format!("(func (local {locals}))").repeat(300);
        assert_eq!(
            too_much_of(&format!("(component (core module {functions}))")),
            "locals"
        );
        let nested = |depth: usize, functions: usize| {
            let body = format!("{}{}", "(block ".repeat(depth), ")".repeat(depth));
            let functions = format!("(func {body})").repeat(functions);
            format!("(component (core module {functions}))")
        };
        assert!(counted(&nested(1000, 100)).is_ok());
        assert_eq!(too_much_of(&nested(1000, 1100)), "blocks within blocks");
    }

    #[test]
    fn components_that_double_each_other_are_too_much() {
        let mut wat = String::from("(component $c0)");
        for level in 1..=20 {
            let inner = level - 1;
            wat += &format!(
                "(component $c{level} (alias outer 1 $c{inner} (component $x))
                   (instance (instantiate $x)) (instance (instantiate $x)))"
            );
        }
        assert_eq!(
            too_much_of(&format!("(component {wat})")),
            "instances of instances"
        );
    }
}
