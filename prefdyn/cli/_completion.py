"""``prefdyn completion``: what a shell offers when the tab key is pressed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from prefdyn.cli._options import Option

FILES = ("FILE", "DIR", "CONFIG", "LOG", "GAME", "NAME")
"""What may be a file or a folder."""


@dataclass(frozen=True)
class Completion:
    """Print a script that lets a shell complete commands, options and their values.

    Where it goes:
      bash, in ~/.bashrc: source <(prefdyn completion bash)
      zsh, in ~/.zshrc below compinit: source <(prefdyn completion zsh)
      fish, in config.fish: prefdyn completion fish | source

    For example:
      prefdyn completion bash
      prefdyn completion zsh
    """

    shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], arg(metavar="SHELL")]
    """The shell: bash, zsh or fish."""
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """The script."""
        from prefdyn.cli._commands import COMMANDS, command
        from prefdyn.cli._options import options

        known = {name: options(command(name)) for name in COMMANDS}
        write = {"bash": _bash, "zsh": _zsh, "fish": _fish}[self.shell]
        return {"shell": self.shell, "script": write(COMMANDS, known)}

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """The script as it is."""
        from prefdyn.cli._output import verbatim

        yield verbatim(answer["script"])


Known = dict[str, tuple[Option, ...]]


def _values(option: Option) -> tuple[str, ...]:
    """The words that an option's value can be, where they can be listed."""
    from prefdyn import claims, games, objectives

    if option.flag == "--objective":
        return tuple(objectives.names())
    if option.flag in ("GAME", "--game", "NAME"):
        # A colon ends a word for bash; these names go on with numbers anyway.
        return tuple(name for name in games.names() if ":" not in name)
    return tuple(claim.id for claim in claims.all()) if option.flag == "ID" else option.choices


def _flags(known: tuple[Option, ...]) -> list[Option]:
    return [option for option in known if option.flag.startswith("--")]


def _words(known: tuple[Option, ...]) -> Option | None:
    """What stands without an option, if anything does."""
    return next((option for option in known if not option.flag.startswith("--")), None)


def _bash(about: dict[str, str], known: Known) -> str:
    values = [
        f'        "{name} {option.flag}") words="{" ".join(found)}" ;;'
        for name, own in known.items()
        for option in _flags(own)
        if (found := _values(option))
    ]
    # After these comes something that only the user knows; files are offered for it.
    free = [
        f'        "{name} {option.flag}") return ;;'
        for name, own in known.items()
        for option in _flags(own)
        if option.metavar and not _values(option)
    ]
    flags = [
        f'            {name}) words="{" ".join([o.flag for o in _flags(own)] + ["--help"])}" ;;'
        for name, own in known.items()
    ]
    bare = [
        f'            {name}) words="{" ".join(found)}" ;;'
        for name, own in known.items()
        if (word := _words(own)) and (found := _values(word))
    ]
    lines = [
        "# Bash completion for prefdyn: source <(prefdyn completion bash)",
        "_prefdyn() {",
        '    local current=${COMP_WORDS[COMP_CWORD]} words=""',
        "    COMPREPLY=()",
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f'        COMPREPLY=($(compgen -W "{" ".join(about)} --help --version" -- "$current"))',
        "        return",
        "    fi",
        '    case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in',
        *values,
        *free,
        "    esac",
        '    if [ -z "$words" ] && [[ "$current" == -* ]]; then',
        '        case "${COMP_WORDS[1]}" in',
        *flags,
        "        esac",
        '    elif [ -z "$words" ]; then',
        '        case "${COMP_WORDS[1]}" in',
        *bare,
        "        esac",
        "    fi",
        '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
        "}",
        "# Where nothing is known, files.",
        "complete -o default -F _prefdyn prefdyn",
    ]
    return "\n".join(lines)


def _zsh(about: dict[str, str], known: Known) -> str:
    lines = [
        "#compdef prefdyn",
        "# Zsh completion for prefdyn: source <(prefdyn completion zsh)",
        "_prefdyn() {",
        "    local -a commands=(",
        *(f"        {_quoted(f'{name}:{text}')}" for name, text in about.items()),
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command commands",
        "        return",
        "    fi",
        "    shift words",
        "    (( CURRENT-- ))",
        "    case $words[1] in",
    ]
    for name, own in known.items():
        specs = [_zsh_option(option) for option in own] + [_quoted("--help[Show the help.]")]
        lines.append(f"        {name}) _arguments {' '.join(specs)} ;;")
    lines += [
        "    esac",
        "}",
        'if [ "$funcstack[1]" = "_prefdyn" ]; then',
        '    _prefdyn "$@"',
        "else",
        "    compdef _prefdyn prefdyn",
        "fi",
    ]
    return "\n".join(lines)


def _zsh_option(option: Option) -> str:
    found, takes_files = _values(option), option.metavar.strip("[]") in FILES
    words = f"({' '.join(found)})" if found else "_files" if takes_files else " "
    name = option.metavar.replace(":", r"\:")
    if not option.flag.startswith("--"):
        both = found and takes_files
        either = f"_alternative 'known:{name}:({' '.join(found)})' 'files:file:_files'"
        return _quoted(f"1:{name}:{{{either}}}" if both else f"1:{name}:{words}")
    text = option.about.replace("[", r"\[").replace("]", r"\]").replace(":", r"\:")
    value = f":{name}:{words}" if option.metavar else ""
    return _quoted(f"{option.flag}[{text}]{value}")


def _fish(about: dict[str, str], known: Known) -> str:
    lines = [
        "# Fish completion for prefdyn: prefdyn completion fish | source",
    ]
    begin = "complete -c prefdyn -n"
    for name, text in about.items():
        lines.append(f"{begin} __fish_use_subcommand -f -a {name} -d {_fish_quoted(text)}")
    for name, own in known.items():
        within = f"{begin} '__fish_seen_subcommand_from {name}'"
        for option in own:
            found, text = _values(option), _fish_quoted(option.about)
            words = f" -a {_fish_quoted(' '.join(found))}" if found else ""
            if not option.flag.startswith("--"):
                files = "" if option.metavar.strip("[]") in FILES else " -f"
                lines.append(f"{within}{files}{words} -d {_fish_quoted(option.metavar)}")
            else:
                takes_files = option.metavar.strip("[]") in FILES
                value = "" if not option.metavar else " -r" if takes_files else " -x"
                lines.append(f"{within} -l {option.flag[2:]}{value}{words} -d {text}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """For bash and zsh, in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
