"""An application of the Python packages `mcp` or `fastmcp`, told what to do line by line.

    python_client.py (mcp|fastmcp) MODE URL (asks|shows)

Reads `connect`, `call` and `quit`, and answers each with a line of JSON: {"shown": text}. An
application that `asks` its user to open a page says {"open": URL} first, and goes on at the next line. What it keeps of
its login it keeps in memory.
"""

import asyncio
import json
import sys
import webbrowser
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import fastmcp
import httpx2
import mcp
from fastmcp.client.auth import OAuth
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from mcp_types import ElicitResult


def say(**answer):
    print(json.dumps(answer), flush=True)


async def line():
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def open_page(url):
    say(open=url)
    await line()
    return ElicitResult(action="accept")


class Memory:
    """The token storage that every application of `mcp` has to write."""

    tokens = client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


async def login_of_mcp(url, name):
    """The callback server that every application of `mcp` has to write."""
    called = asyncio.Queue()

    async def answer(reader, writer):
        target = (await reader.readline()).split()[1].decode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nDone")
        await writer.drain()
        writer.close()
        await called.put({key: values[0] for key, values in parse_qs(urlsplit(target).query).items()})

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    redirect_uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"

    async def show(authorization_url):
        await asyncio.to_thread(webbrowser.open, authorization_url)

    async def wait():
        query = await called.get()
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))

    metadata = OAuthClientMetadata(
        client_name=name,
        redirect_uris=[redirect_uri],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(url, metadata, Memory(), redirect_handler=show, callback_handler=wait)


async def connected_by_mcp(stack, url, mode, auth, asks):
    http = await stack.enter_async_context(httpx2.AsyncClient(auth=auth, timeout=30))
    on_elicitation = (lambda _context, params: open_page(params.url)) if asks else None
    transport = streamable_http_client(url, http_client=http)
    client = mcp.Client(transport, mode=mode, elicitation_callback=on_elicitation)
    return await stack.enter_async_context(client)


async def connected_by_fastmcp(stack, url, mode, auth, asks):
    on_elicitation = (lambda _message, _type, params, _context: open_page(params.url)) if asks else None
    client = fastmcp.Client(url, auth=auth, mode=mode, elicitation_handler=on_elicitation)
    return await stack.enter_async_context(client)


async def main(package, mode, url, asks):
    is_fast = package == "fastmcp"
    name = f"{package} {mode} {asks}"
    auth = OAuth(client_name=name) if is_fast else await login_of_mcp(url, name)
    connected = connected_by_fastmcp if is_fast else connected_by_mcp
    async with AsyncExitStack() as stack:
        client = None
        while (command := await line()) not in ("quit", ""):
            try:
                if command == "connect":
                    client = await connected(stack, url, mode, auth, asks == "asks")
                    say(shown="connected")
                else:
                    result = await client.call_tool("contacts", {})
                    say(shown=" ".join(part.text for part in result.content))
            except BaseException as error:
                say(shown=words_of(error))


def words_of(error):
    """What an application that does not know more would show: task groups hide what happened one or two levels down."""
    if isinstance(error, BaseExceptionGroup):
        return " ".join(words_of(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"


asyncio.run(main(*sys.argv[1:]))
