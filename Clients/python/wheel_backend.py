"""Builds the wheel of one file (PEP 517, PEP 427): needs nothing that pip would have to download."""

import base64
import hashlib
import os
import zipfile

NAME = "agt"
VERSION = "1.0"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "agt.py"), "rb") as file:
        source = file.read()
    info = f"{NAME}-{VERSION}.dist-info"
    metadata = (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\nSummary: Client of agt-run's broker\n"
        "Requires-Python: >=3.9\nLicense: Apache-2.0\n")
    wheel = "Wheel-Version: 1.0\nGenerator: wheel_backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"agt.py": source, f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": wheel.encode()}
    record = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    return name




def build_sdist(sdist_directory, config_settings=None):
    raise NotImplementedError("install from the directory: pip install ./Clients/python")
