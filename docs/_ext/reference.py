"""The API reference: every public name once, with a summary at the top of each page."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from types import ModuleType

from docutils import nodes
from sphinx import addnodes

import prefdyn
from _ext.files import cell, first_paragraph, prune, write

GROUPS = {  # of the names that only the package itself has: title, and the modules they come from
    "running": ("Running a rule", ("_simulate", "_measures")),
    "stability": (
        "Fixed points and stability",
        (
            *("fixed_points", "many_points", "multipliers", "critical", "verdict"),
            *("certificates", "last_iterate", "normal_form", "transient"),
        ),
    ),
    "branches": ("Branches and boundaries", ("branch", "continuation", "boundary")),
    "long-run": (
        "The long run",
        (
            *("periodic", "basins", "_attractors", "orbit_diagram", "rotation"),
            *("mode_locking", "lyapunov", "zero_one", "power"),
        ),
    ),
    "advice": ("Advice and cures", ("_advice",)),
    "sweeps": ("Sweeps", ("_sweep",)),
    "logs": ("Training logs and pipelines", ("runlog", "_modes", "pipeline")),
    "others": ("Errors and others", ()),  # what no other group names
}
INTRODUCTION = """
`import prefdyn` gives the names below, and loads what they need when they are first used. Games,
objectives, policies and rules are in modules of their own; the names that everybody needs are in
the package, too, so `prefdyn.MRSIPO` is `prefdyn.rules.MRSIPO`.
"""


def write_pages() -> None:
    """The index, a page for each group of the package's own names, and one for each module."""
    groups, found = own_names(), modules()
    names = [*(f"package-{key}" for key in groups), *found]
    prune("api", names)
    parts = ["# Reference", "", INTRODUCTION.strip(), ""]
    parts += ["```{toctree}", ":hidden:", "", *(f"api/{name}" for name in names), "```", ""]
    parts += ["| page | names |", "|---|---|"]
    for key, members in groups.items():
        write(f"api/package-{key}.md", page(GROUPS[key][0], prefdyn, members))
        listed = ", ".join(f"{{py:obj}}`~prefdyn.{name}`" for name in members)
        parts.append(f"| [{GROUPS[key][0]}](api/package-{key}.md) | {listed} |")
    for name, module in found.items():
        write(f"api/{name}.md", page(f"prefdyn.{name}", module, public(module)))
        parts.append(f"| [prefdyn.{name}](api/{name}.md) | {cell(first_paragraph(module))} |")
    write("api.md", "\n".join(parts) + "\n")


def modules() -> dict[str, ModuleType]:
    """The public modules of the package."""
    names = [found.name for found in pkgutil.iter_modules(prefdyn.__path__)]
    return {
        name: importlib.import_module(f"prefdyn.{name}")
        for name in sorted(names)
        if not name.startswith("_") and name != "cli"  # the page on the command line has it
    }


def public(module: ModuleType) -> list[str]:
    """Public names of a module: those it declares, or those it defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


def own_names() -> dict[str, list[str]]:
    """Names of the package that no public module has, by group."""
    elsewhere = {id(getattr(m, name)) for m in modules().values() for name in public(m)}
    groups: dict[str, list[str]] = {key: [] for key in GROUPS}
    for name in sorted(set(public(prefdyn)) - {"__version__"}, key=str.lower):
        value = getattr(prefdyn, name)
        if not inspect.ismodule(value) and id(value) not in elsewhere:
            groups[group_of(value)].append(name)
    return {key: names for key, names in groups.items() if names}


def group_of(value: object) -> str:
    """Key of the group of something that the package exports."""
    home = set(value.__module__.split("."))
    return next((key for key, (_, homes) in GROUPS.items() if home & set(homes)), "others")


def page(title: str, module: ModuleType, names: Iterable[str]) -> str:
    """A page: what the module says of itself, a table of the names, and an entry for each."""
    found = {name: getattr(module, name) for name in sorted(names, key=str.lower)}
    parts = [f"# {title}", ""]
    if module is not prefdyn:
        parts += block(f".. automodule:: {module.__name__}", "   :no-members:")
    parts += ["| name | |", "|---|---|"]
    for name, value in found.items():
        parts.append(f"| {{py:obj}}`~{module.__name__}.{name}` | {about(value)} |")
    for kind in ("Classes", "Functions", "Data"):
        if members := [name for name, value in found.items() if kind_of(value) == kind]:
            directives = [line for name in members for line in entry(name, found[name])]
            parts += ["", f"## {kind}", ""]
            parts += block(f".. currentmodule:: {module.__name__}", "", *directives)
    return "\n".join(parts) + "\n"


def block(*lines: str) -> list[str]:
    """Lines of reStructuredText inside Markdown."""
    return ["```{eval-rst}", *lines, "```", ""]


def kind_of(value: object) -> str:
    """Under which heading something is listed."""
    return "Classes" if inspect.isclass(value) else "Functions" if callable(value) else "Data"


def about(value: object) -> str:
    """The summary of a class or function; the docstring of data is their type's."""
    return "" if kind_of(value) == "Data" else cell(first_paragraph(value))


def entry(name: str, value: object) -> list[str]:
    """The directive that documents one name."""
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, Exception) else "class"
        return [f".. auto{kind}:: {name}", "   :members:", ""]
    return [f".. auto{'function' if callable(value) else 'data'}:: {name}", ""]


def examples_without_heading(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings of modules, which numpydoc leaves as they are, may head their examples, too."""
    if what == "module" and "Examples" in lines:
        at = lines.index("Examples")
        lines[at : at + 2] = [".. rubric:: Examples", ""]


def find_elsewhere(app, env, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """Where a reference to ``prefdyn.NAME`` leads, if a module's page has the entry."""
    name = node.get("reftarget", "").removeprefix("prefdyn.")
    if node.get("refdomain") != "py" or name not in public(prefdyn):
        return None
    value = getattr(prefdyn, name)
    homes = [key for key, module in modules().items() if value is getattr(module, name, None)]
    if not homes:
        return None
    target, python = f"prefdyn.{homes[0]}.{name}", env.domains.python_domain
    return python.resolve_xref(
        env, node["refdoc"], app.builder, "obj", target, addnodes.pending_xref(), content
    )
