"""Tells what stands in DAG files, from their syntax alone.

`cofferdam check --dags` writes this script to a Python interpreter's standard
input, with a last line that hands over the paths. It opens these files to read
them, and nothing of them is imported or executed. Each file gives one line of
JSON on standard output, in the order of the paths, so that whoever reads knows
on which file an interpreter died. It judges nothing: `facts.rs` reads the facts,
and Rust compares them with the grants.

What is not certain from the source is `unknown`. No value is ever guessed.
"""

import ast
import json
import sys
import threading

# As `folder.rs` has it.
MAX_BYTES = 1 << 20
# Readers of JSON bound nesting; one level of ours has four of theirs.
MAX_DEPTH = 24
# One literal that is named a thousand times is told a thousand times: this is what all
# that is told of a file may take, about, in characters.
MAX_TOLD = 8 << 20
PROVIDER = "airflow_provider_cofferdam"
SDK = {"DAG": "airflow.sdk.DAG", "dag": "airflow.sdk.dag", "task": "airflow.sdk.task"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def is_operator(path):
    return path.startswith(PROVIDER + ".") and path.endswith(".CofferdamOperator")


def is_decorator(path):
    return is_airflow(path, "task.cofferdam") or (
        path.startswith(PROVIDER + ".") and path.endswith(".cofferdam_task")
    )


def is_airflow(path, name):
    return path.startswith("airflow.") and path.endswith("." + name)


class Scope:
    """The names of a module, a function or a class, as far as they matter."""

    def __init__(self, parent, nodes, arguments=None, shared=()):
        self.parent = parent
        # What a name stands for at the statement that is looked at.
        self.values = {}
        # How often a name is bound anywhere in the scope, and to which literal.
        self.counts = {}
        self.literals = {}
        self.shared = shared
        for argument in arguments or ():
            self.count(argument.arg)
        self.survey(nodes)

    def count(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1

    def survey(self, nodes):
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if isinstance(node, FUNCTIONS + (ast.ClassDef,)):
                self.count(node.name)
                continue
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                self.count(node.id)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    self.count(alias.asname or alias.name.split(".")[0])
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                self.literal(node.targets[0], node.value)
            elif isinstance(node, ast.AnnAssign):
                self.literal(node.target, node.value)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                self.count(node.name)
            elif type(node).__name__.startswith("Match"):
                # Patterns bind names that are plain texts.
                for field in ("name", "rest"):
                    if isinstance(getattr(node, field, None), str):
                        self.count(getattr(node, field))
            waiting.extend(ast.iter_child_nodes(node))

    def literal(self, target, value):
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
            self.literals[target.id] = value

    def constant(self, name):
        """The literal of a name that is bound once in its scope."""
        scope = self
        while scope is not None:
            if name in scope.counts:
                once = scope.counts[name] == 1 and name not in scope.shared
                return scope.literals.get(name) if once else None
            scope = scope.parent
        return None

    def is_bound(self, name):
        scope = self
        while scope is not None:
            if name in scope.counts:
                return True
            scope = scope.parent
        return False

    def value(self, name):
        scope = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            if name in scope.counts:
                # Bound here, but to nothing that we know.
                return None
            scope = scope.parent
        return None


# What an expression can stand for.


class Path:
    """An imported name, in full."""

    def __init__(self, path):
        self.path = path


class Dag:
    """A DAG of this file, by its place in the list."""

    def __init__(self, index):
        self.index = index


class Partial:
    """`CofferdamOperator.partial(…)`, not yet expanded."""

    def __init__(self, call, scope, dag):
        self.call, self.scope, self.dag = call, scope, dag


class Function:
    """A function under `@task.cofferdam`, with the arguments given so far."""

    def __init__(self, fact, names, given=None, is_open=False, task=None):
        self.fact, self.names, self.given = fact, names, given or {}
        self.is_open, self.task = is_open, task


class Method:
    """A method of one of these."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name


class File:
    """The facts of one file."""

    def __init__(self, tree):
        self.dags = []
        # Whether a DAG gives its operators arguments that the source may not show.
        self.defaults = []
        self.asks = []
        self.functions = []
        self.in_handler = False
        shared = set()
        for node in ast.walk(tree):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                shared.update(node.names)
        self.shared = shared
        self.block(tree.body, Scope(None, tree.body, shared=shared), None)

    def facts(self):
        return {"dags": self.dags, "asks": self.asks, "functions": self.functions}

    # Statements.

    def block(self, statements, scope, dag):
        for statement in statements:
            self.statement(statement, scope, dag)

    def statement(self, node, scope, dag):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    self.bind(scope, alias.asname, Path(alias.name))
                else:
                    first = alias.name.split(".")[0]
                    self.bind(scope, first, Path(first))
        elif isinstance(node, ast.ImportFrom):
            self.imported(node, scope)
        elif isinstance(node, FUNCTIONS):
            self.function(node, scope, dag)
        elif isinstance(node, ast.ClassDef):
            self.class_(node, scope)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            self.block(node.body, scope, self.context(node, scope, dag))
        elif isinstance(node, ast.Assign):
            value = self.value(node.value, scope, dag)
            for target in node.targets:
                self.assign(target, value, scope, dag)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                value = self.value(node.value, scope, dag)
                self.assign(node.target, value, scope, dag)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self.value(node.iter, scope, dag)
            self.assign(node.target, None, scope, dag)
            self.block(node.body, scope, dag)
            self.block(node.orelse, scope, dag)
        elif isinstance(node, ast.ExceptHandler):
            # What an import falls back to does not replace the import.
            before, self.in_handler = self.in_handler, True
            self.block(node.body, scope, dag)
            self.in_handler = before
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.value(child, scope, dag)
                else:
                    self.statement(child, scope, dag)

    def imported(self, node, scope):
        for alias in node.names:
            if node.level or not node.module:
                self.bind(scope, alias.asname or alias.name, None)
            elif alias.name != "*":
                path = Path(node.module + "." + alias.name)
                self.bind(scope, alias.asname or alias.name, path)
            elif node.module == "airflow.sdk":
                for name, path in SDK.items():
                    self.bind(scope, name, Path(path))
            elif node.module.split(".")[0] == PROVIDER:
                path = Path(node.module + ".CofferdamOperator")
                self.bind(scope, "CofferdamOperator", path)

    def bind(self, scope, name, value):
        if self.in_handler and scope.values.get(name) is not None:
            return
        scope.values[name] = value

    def assign(self, target, value, scope, dag):
        if isinstance(target, ast.Name):
            self.bind(scope, target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for one in target.elts:
                self.assign(one, None, scope, dag)
        else:
            self.value(target, scope, dag)

    def context(self, node, scope, dag):
        """The DAG of what stands below a `with`."""
        for item in node.items:
            value = self.value(item.context_expr, scope, dag)
            if value is None and isinstance(item.context_expr, ast.Call):
                # A group may be told its DAG.
                named = keyword(item.context_expr, "dag")
                if named is not None:
                    value = self.seen(named, scope)
                    dag = value.index if isinstance(value, Dag) else None
            elif isinstance(value, Dag):
                dag = value.index
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value, scope, dag)
        return dag

    def class_(self, node, scope):
        for base in node.bases:
            value = self.value(base, scope, None)
            if isinstance(value, Path) and is_operator(value.path):
                unknown = unsaid(node, "a class of its own")
                self.asks.append(ask(node, "subclass", None, unknown))
        for decorator in node.decorator_list:
            self.value(decorator, scope, None)
        inner = Scope(scope, node.body, shared=self.shared)
        self.block(node.body, inner, None)
        self.bind(scope, node.name, None)

    def function(self, node, scope, dag):
        arguments = node.args
        for default in arguments.defaults + arguments.kw_defaults:
            if default is not None:
                self.value(default, scope, dag)
        inner_dag, decorated = None, None
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            name = self.value(call.func if call else decorator, scope, dag)
            for argument in parts(call):
                self.value(argument, scope, dag)
            if not isinstance(name, Path):
                continue
            if is_decorator(name.path):
                decorated = self.decorated(node, decorator, call, scope)
            elif is_airflow(name.path, "dag"):
                inner_dag = self.dag(node.name, node, call, scope).index
            elif is_airflow(name.path, "task_group"):
                # It is called where it stands, or its DAG is not known.
                inner_dag = dag
        if decorated is not None:
            names = [one.arg for one in arguments.posonlyargs + arguments.args]
            self.bind(scope, node.name, Function(decorated, names))
            return
        every = parameters(arguments) + [
            one for one in (arguments.vararg, arguments.kwarg) if one is not None
        ]
        inner = Scope(scope, node.body, every, self.shared)
        self.bind(scope, node.name, None)
        self.block(node.body, inner, inner_dag)

    def dag(self, default, node, call, scope):
        """A DAG that comes into being here."""
        name = None
        if call is not None:
            name = keyword(call, "dag_id")
            if name is None and call.args:
                name = call.args[0]
        if name is not None:
            told = literal(name, scope)
        elif default is None or (call is not None and is_open(call)):
            told = unsaid(node, "a DAG whose `dag_id` is not written here")
        else:
            told = fact(node, {"string": default})
        line = call.lineno if call is not None else node.lineno
        self.dags.append({"line": line, "id": told})
        self.defaults.append(
            call is not None and (is_open(call) or keyword(call, "default_args") is not None)
        )
        return Dag(len(self.dags) - 1)

    def decorated(self, node, decorator, call, scope):
        told = {
            "line": decorator.lineno,
            "name": node.name,
            "task": None,
            "limits": None,
            "open": call is not None and is_open(call),
            "parameters": signature(node.args, scope),
            "variadic": node.args.vararg is not None or node.args.kwarg is not None,
            "async": isinstance(node, ast.AsyncFunctionDef),
            "body": body_line(node),
            "calls": [],
        }
        if call is not None:
            task = keyword(call, "task")
            if task is None and call.args:
                task = call.args[0]
            limits = keyword(call, "limits")
            told["task"] = task and literal(task, scope)
            told["limits"] = limits and literal(limits, scope)
        self.functions.append(told)
        return told

    # Expressions.

    def seen(self, node, scope):
        """What a name or an attribute stands for; looks at nothing else."""
        if isinstance(node, ast.Name):
            return scope.value(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.seen(node.value, scope)
            if isinstance(owner, Path):
                return Path(owner.path + "." + node.attr)
        return None

    def value(self, node, scope, dag):
        """What an expression stands for. Each is looked at once."""
        if isinstance(node, ast.Name):
            return scope.value(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value, scope, dag)
            if isinstance(owner, Path):
                return Path(owner.path + "." + node.attr)
            if isinstance(owner, (Partial, Function)):
                return Method(owner, node.attr)
            return None
        if isinstance(node, ast.Call):
            function = self.value(node.func, scope, dag)
            for part in parts(node):
                self.value(part, scope, dag)
            return self.called(function, node, scope, dag)
        if isinstance(node, ast.NamedExpr):
            value = self.value(node.value, scope, dag)
            self.assign(node.target, value, scope, dag)
            return value
        if isinstance(node, ast.Lambda):
            inner = Scope(scope, [], parameters(node.args), self.shared)
            self.value(node.body, inner, None)
            return None
        if isinstance(node, COMPREHENSIONS):
            scope = Scope(scope, [one.target for one in node.generators], shared=self.shared)
        for child in ast.iter_child_nodes(node):
            self.child(child, scope, dag)
        return None

    def child(self, node, scope, dag):
        if isinstance(node, ast.expr):
            self.value(node, scope, dag)
        else:
            # Such as the `for` of a comprehension.
            for child in ast.iter_child_nodes(node):
                self.child(child, scope, dag)

    def called(self, function, node, scope, dag):
        if isinstance(function, Path):
            owner, _, last = function.path.rpartition(".")
            if is_operator(function.path):
                self.operator("operator", [(node, scope)], node, self.of(node, scope, dag))
            elif last == "partial" and is_operator(owner):
                return Partial(node, scope, self.of(node, scope, dag))
            elif is_airflow(function.path, "DAG"):
                return self.dag(None, node, node, scope)
        elif isinstance(function, Method) and isinstance(function.owner, Partial):
            partial = function.owner
            calls = [(partial.call, partial.scope), (node, scope)]
            if function.name in ("expand", "expand_kwargs"):
                self.operator(function.name, calls, node, partial.dag)
        elif isinstance(function, Function):
            self.applied(function, node, scope, dag, "call")
        elif isinstance(function, Method):
            return self.method(function, node, scope, dag)
        return None

    def of(self, node, scope, dag):
        """The DAG that a call names, or the one around it."""
        named = keyword(node, "dag")
        if named is None:
            return dag
        value = self.seen(named, scope)
        return value.index if isinstance(value, Dag) else None

    def operator(self, how, calls, node, dag):
        """An operator, or one for each of a literal list."""
        fields, several = {}, {}
        opened = dag is not None and self.defaults[dag]
        for call, scope in calls:
            mapped = call is node and how != "operator"
            opened = opened or is_open(call) or (mapped and how == "expand_kwargs")
            for name in ("task", "input", "limits"):
                given = keyword(call, name)
                if given is None:
                    continue
                if not mapped:
                    fields[name] = literal(given, scope)
                else:
                    several[name] = elements(given, scope)
        tasks = several.get("task") or [fields.get("task")]
        for task in tasks:
            told = ask(node, "operator" if how == "operator" else "mapped", dag, task)
            told["open"] = opened
            told["inputs"] = several.get("input") or [
                one for one in [fields.get("input")] if one is not None
            ]
            told["limits"] = several.get("limits") or [
                one for one in [fields.get("limits")] if one is not None
            ]
            self.asks.append(told)

    def method(self, method, node, scope, dag):
        owner = method.owner
        if method.name == "override":
            task = keyword(node, "task")
            told = literal(task, scope) if task is not None else owner.task
            return Function(owner.fact, owner.names, owner.given, owner.is_open, told)
        if method.name == "partial":
            given = dict(owner.given)
            given.update(
                (one.arg, [literal(one.value, scope)]) for one in node.keywords if one.arg
            )
            opened = owner.is_open or is_open(node)
            return Function(owner.fact, owner.names, given, opened, owner.task)
        if method.name in ("expand", "expand_kwargs"):
            self.applied(owner, node, scope, dag, method.name)
        return None

    def applied(self, function, node, scope, dag, how):
        """A decorated function that is called: here a task comes into being."""
        given, surplus = dict(function.given), 0
        opened = function.is_open or is_open(node) or how == "expand_kwargs"
        if how == "call":
            for index, argument in enumerate(node.args):
                if isinstance(argument, ast.Starred):
                    break
                if index < len(function.names):
                    given[function.names[index]] = [literal(argument, scope)]
                else:
                    surplus += 1
        for one in node.keywords:
            if one.arg is not None:
                given[one.arg] = (
                    elements(one.value, scope)
                    if how == "expand"
                    else [literal(one.value, scope)]
                )
        function.fact["calls"].append({
            "line": node.lineno,
            "dag": dag,
            "task": function.task,
            "open": opened,
            "surplus": surplus,
            "arguments": given,
        })


def ask(node, how, dag, task):
    return {
        "line": node.lineno,
        "how": how,
        "dag": dag,
        "task": task,
        "open": False,
        "inputs": [],
        "limits": [],
    }


def parts(call):
    """The arguments of a call."""
    if call is None:
        return []
    return list(call.args) + [one.value for one in call.keywords]


def keyword(call, name):
    for one in call.keywords:
        if one.arg == name:
            return one.value
    return None


def is_open(call):
    """Whether arguments are unpacked that the source does not show."""
    return any(one.arg is None for one in call.keywords) or any(
        isinstance(one, ast.Starred) for one in call.args
    )


def parameters(arguments):
    return arguments.posonlyargs + arguments.args + arguments.kwonlyargs


def signature(arguments, scope):
    positional = arguments.posonlyargs + arguments.args
    bare = len(positional) - len(arguments.defaults)
    told = []
    for index, one in enumerate(positional):
        default = arguments.defaults[index - bare] if index >= bare else None
        told.append(parameter(one, default, scope))
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        told.append(parameter(one, default, scope))
    return told


def parameter(one, default, scope):
    return {
        "name": one.arg,
        "line": one.lineno,
        "default": None if default is None else literal(default, scope),
    }


def body_line(node):
    """The first statement that would do something, if the body ran."""
    for statement in node.body:
        if isinstance(statement, ast.Pass):
            continue
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.Expr) and isinstance(value, ast.Constant):
            continue
        if isinstance(statement, ast.Return) and getattr(value, "value", None) is None:
            if value is None or isinstance(value, ast.Constant):
                continue
        return statement.lineno
    return None


def elements(node, scope):
    """Each element of a literal list; one unknown for anything else."""
    if isinstance(node, (ast.List, ast.Tuple)) and node.elts:
        return [literal(one, scope) for one in node.elts]
    return [unsaid(node, describe(node))]


class Budget:
    """How much may still be told of the file."""

    left = 0


budget = Budget()


def is_string(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def fact(node, kind):
    return {"line": node.lineno, "is": kind}


def unsaid(node, what):
    return fact(node, {"unknown": what})


def describe(node):
    """What an expression is, in words that hold no value of the file's."""
    if isinstance(node, ast.Call):
        name = dotted(node.func)
        return "a call of `" + name + "`" if name else "a call"
    name = dotted(node)
    return "`" + name + "`" if name else "an expression"


def dotted(node):
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or len(names) > 8:
        return None
    names.append(node.id)
    return ".".join(reversed(names))[:80]


def literal(node, scope, depth=0):
    """A literal with its line, so that a finding inside it has one."""
    if depth > MAX_DEPTH:
        return unsaid(node, "a literal that is nested too deeply")
    budget.left -= 32 + (len(node.value) if is_string(node) else 0)
    if budget.left < 0:
        raise MemoryError
    if isinstance(node, ast.Name):
        constant = scope.constant(node.id)
        if constant is None:
            return unsaid(node, describe(node))
        # The place to change is where the literal stands.
        return literal(constant, scope, depth)
    if isinstance(node, ast.Constant):
        return fact(node, scalar(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = getattr(node.operand, "value", None)
        if type(operand) in (int, float):
            return fact(node, scalar(-operand))
    if isinstance(node, ast.JoinedStr):
        return fact(node, {"string": None})
    if isinstance(node, (ast.List, ast.Tuple)):
        starred = [isinstance(one, ast.Starred) for one in node.elts]
        items = [] if any(starred) else [literal(one, scope, depth + 1) for one in node.elts]
        return fact(node, {"array": {"items": items, "open": any(starred)}})
    if isinstance(node, (ast.Set, ast.SetComp)):
        return fact(node, {"foreign": "a set"})
    if isinstance(node, ast.Dict):
        return fact(node, object_(list(zip(node.keys, node.values)), scope, depth))
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    if named and node.func.id == "dict" and not node.args and not scope.is_bound("dict"):
        pairs = [(one.arg and ast.Constant(one.arg), one.value) for one in node.keywords]
        return fact(node, object_(pairs, scope, depth))
    return unsaid(node, describe(node))


def object_(pairs, scope, depth):
    fields, opened = {}, False
    for key, value in pairs:
        if isinstance(key, ast.Name):
            key = scope.constant(key.id)
        name = key.value if isinstance(key, ast.Constant) else None
        if isinstance(name, str) and is_text(name):
            # The last of two equal keys wins, as in Python.
            fields[name] = literal(value, scope, depth + 1)
        else:
            # It may be any field, and replace those before it.
            fields, opened = {}, True
    return {"object": {"fields": fields, "open": opened}}


def is_text(value):
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def scalar(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return {"boolean": value}
    if isinstance(value, int):
        # What no machine's number holds is known by its type alone.
        return {"integer": value if -(1 << 63) <= value < 1 << 64 else None}
    if isinstance(value, float):
        return {"number": value if value - value == 0 else None}
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            # Airflow puts something in its place.
            return {"unknown": "a template"}
        return {"string": value if is_text(value) else None}
    names = {bytes: "bytes", complex: "a complex number"}
    return {"foreign": names.get(type(value), "`...`")}


def trouble(line, message):
    return {"unread": {"line": line, "message": str(message)[:200]}}


def read(path):
    try:
        with open(path, "rb") as file:
            source = file.read(MAX_BYTES + 1)
    except OSError as error:
        return trouble(None, "cannot be read: " + str(error.strerror))
    if len(source) > MAX_BYTES:
        return trouble(None, "is larger than 1 MiB")
    budget.left = MAX_TOLD
    try:
        return json.dumps({"read": File(ast.parse(source)).facts()})
    except SyntaxError as error:
        return trouble(error.lineno or None, "is not Python: " + str(error.msg))
    except ValueError as error:
        return trouble(None, "is not Python: " + str(error))
    except RecursionError:
        return trouble(None, "is nested too deeply to be read")
    except MemoryError:
        return trouble(None, "holds, or repeats, more than can be read")
    except Exception as error:  # A fault of this script's ends no other file.
        return trouble(None, "is not understood: " + type(error).__name__)


def main(paths):
    for path in paths.split(b"\0"):
        facts = read(path)
        line = facts if isinstance(facts, str) else json.dumps(facts)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def begin(paths):
    if sys.version_info < (3, 8):
        sys.exit("Python 3.8 or later is needed")
    # Sources may be nested deeply; the stack is that of a thread, so that it can grow.
    sys.setrecursionlimit(20000)
    threading.stack_size(512 << 20)
    thread = threading.Thread(target=main, args=(paths,))
    thread.start()
    thread.join()
