"""How `--help` looks: sections with two columns, made without Rich, whose import would take longer."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from farm.cli.terminal import is_terminal

WIDEST = 100
LEFT_WIDEST = 30
_INDENT = 2
_BOLD, _CYAN, _PLAIN = "\033[1m", "\033[36m", "\033[0m"

Row = tuple[str, str]


class HelpCommand(TyperCommand):
    """A command whose help is drawn here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help text to `formatter`."""
        formatter.write(_page(self, ctx))


class HelpGroup(TyperGroup):
    """The group of all commands, whose help is drawn here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help text to `formatter`."""
        commands: dict[str, list[Row]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            if command and not command.hidden:
                row = (name, _summary(command.help or ""))
                commands.setdefault(command.rich_help_panel or "Commands", []).append(row)
        formatter.write(_page(self, ctx, commands))


def _page(command: Any, ctx: Any, commands: dict[str, list[Row]] | None = None) -> str:
    width = _width()
    lines = [*_paragraphs(command.help or "", width), "", _usage(command, ctx), ""]
    for title, rows in {**(commands or {}), **_parameters(command, ctx)}.items():
        lines += [_styled(title, _BOLD), *_columns(rows, width), ""]
    return "\n".join(lines).rstrip() + "\n"


def _usage(command: Any, ctx: Any) -> str:
    arguments = [param for param in command.get_params(ctx) if param.param_type_name == "argument"]
    names = " ".join(_argument_name(param) if param.required else f"[{_argument_name(param)}]" for param in arguments)
    rest = "COMMAND …" if isinstance(command, TyperGroup) else f"{names} [OPTIONS]".strip()
    return f"{_styled('Usage', _BOLD)}: {ctx.command_path} {rest}"


def _parameters(command: Any, ctx: Any) -> dict[str, list[Row]]:
    sections: dict[str, list[Row]] = {}
    for param in command.get_params(ctx):
        if getattr(param, "hidden", False):
            continue
        is_argument = param.param_type_name == "argument"
        title = getattr(param, "rich_help_panel", None) or ("Arguments" if is_argument else "Options")
        name = _argument_name(param) if is_argument else _option_name(param)
        sections.setdefault(title, []).append((name, _describe(param)))
    return sections


def _argument_name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _option_name(param: Any) -> str:
    opts = sorted(param.opts, key=lambda opt: opt.startswith("--"))
    text = ", ".join(opts)
    text = text if text.startswith("-") and not text.startswith("--") else "    " + text
    return text if getattr(param, "is_flag", False) or not param.metavar else f"{text} {param.metavar}"


def _describe(param: Any) -> str:
    text = param.help or ""
    if param.required and param.param_type_name == "option":
        return f"{text} (required)"
    flag = getattr(param, "is_flag", False)
    if param.show_default and not flag and param.default is not None:
        return f"{text} (default: {param.default})"
    return text


def _columns(rows: Iterable[Row], width: int) -> list[str]:
    rows = list(rows)
    left = min(LEFT_WIDEST, max(len(name) for name, _ in rows))
    start = _INDENT + left + 2
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, max(20, width - start)) or [""]
        head = " " * _INDENT + _styled(name, _CYAN)
        if len(name) > left:
            lines += [head, *(" " * start + line for line in wrapped)]
        else:
            lines.append((head + " " * (left - len(name) + 2) + wrapped[0]).rstrip())
            lines += [" " * start + line for line in wrapped[1:]]
    return lines


def _paragraphs(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in textwrap.dedent(text).strip().split("\n\n"):
        lines += ["", *textwrap.wrap(" ".join(paragraph.split()), width)]
    return lines[1:]


def _summary(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


def _styled(text: str, code: str) -> str:
    return f"{code}{text}{_PLAIN}" if is_terminal(sys.stdout) and not os.environ.get("NO_COLOR") else text


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return min(WIDEST, int(columns))
    try:
        return min(WIDEST, os.get_terminal_size(sys.stdout.fileno()).columns or 80)
    except (OSError, ValueError):
        return 80
