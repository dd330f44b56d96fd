"""s3:// addresses become signed links when they are read: the signature is Amazon's own example, keys never show."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from support.imagery_servers import local_server
from support.imagery_world import acquisition, in_site, numbers, reflectance, small_site, source_config, write_item

from pipeline.config import SourceConfig, open_configuration
from pipeline.config.schema import S3Config
from pipeline.errors import ReadError, SourceError
from pipeline.imagery import signing
from pipeline.imagery.items import parse_item
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.signing import S3Signer, open_signer
from pipeline.imagery.stac import open_stac

ROOT = Path(__file__).parents[3]
# Keys, time and result of "Authenticating requests: using query parameters", Amazon S3 API reference.
EXAMPLE_KEY, EXAMPLE_SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EXAMPLE_SIGNATURE = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", EXAMPLE_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", EXAMPLE_SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    signing._s3_client.cache_clear()


def shipped(name: str) -> SourceConfig:
    return open_configuration(ROOT / "config").source(name)


def test_the_signature_is_that_of_amazon_s_example(monkeypatch: pytest.MonkeyPatch) -> None:
    when = datetime(2013, 5, 24, tzinfo=UTC).replace(tzinfo=None)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: when)
    monkeypatch.setattr(signing, "VALID_S", 86400)
    link = S3Signer(S3Config(region="us-east-1")).sign("s3://examplebucket/test.txt")
    parts = urlsplit(link)
    assert (parts.scheme, parts.hostname, parts.path) == ("https", "examplebucket.s3.amazonaws.com", "/test.txt")
    assert parse_qs(parts.query)["X-Amz-Signature"] == [EXAMPLE_SIGNATURE]


def test_shipped_sources_sign_to_hosts_that_they_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    landsat = shipped("earth-search-landsat")
    link = open_signer(landsat).sign("s3://usgs-landsat/collection02/level-2/x_SR_B2.TIF")
    assert urlsplit(link).hostname in landsat.allowed_hosts
    assert parse_qs(urlsplit(link).query)["x-amz-request-payer"] == ["requester"]
    copernicus = shipped("copernicus-data-space-s3")
    with pytest.raises(SourceError, match="CDSE_S3_ACCESS_KEY"):
        open_signer(copernicus)
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "a")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "b")
    link = open_signer(copernicus).sign("s3://eodata/Sentinel-2/MSI/L2A/2023/x/B02_10m.jp2")
    assert link.startswith("https://eodata.dataspace.copernicus.eu/eodata/Sentinel-2/MSI/L2A/2023/x/B02_10m.jp2?")
    assert urlsplit(link).hostname in copernicus.allowed_hosts


@pytest.mark.parametrize("href", ["s3://", "s3://bucket", "s3://bucket/", "s3://a@b/c", "s3://b/c?x=1", "s3://-!/x"])
def test_what_names_no_object_is_said(href: str) -> None:
    with pytest.raises(ReadError, match="not the address of an object") as caught:
        S3Signer(S3Config()).sign(href)
    assert "\n" not in str(caught.value)


def test_a_source_by_s3_is_read_to_the_last_number(tmp_path: Path) -> None:
    site = small_site()
    bands, classes = reflectance(3)
    dn = numbers(bands, 1000)
    with local_server(tmp_path) as server:
        item = write_item(tmp_path / "bucket", dn, classes, acquisition(), base_url="s3://bucket")
        s3 = {"endpoint": server.url, "region": "default", "path_style": True, "requester_pays": True}
        source = open_stac(source_config("stac-api", server.url, signing="s3", s3=s3))
        parsed = parse_item(item, source.config, source.config.collections[0])
        (scene,), _ = scenes_from_items([parsed], ["made"])
        chip = source.read(site, scene)
        assert np.array_equal(chip.values[0], in_site(dn["blue"]))
        assert server.requests
        for path, _ in server.requests:
            query = parse_qs(urlsplit(path).query)
            assert urlsplit(path).path.startswith("/bucket/items/")
            assert query["x-amz-request-payer"] == ["requester"]
            assert len(query["X-Amz-Signature"][0]) == 64
        server.requests.clear()
        unsigned = open_stac(source_config("stac-api", server.url))
        with pytest.raises(ReadError, match=r"s3://bucket.* lies in S3") as caught:
            unsigned.read(site, scene)
        assert EXAMPLE_SECRET not in str(caught.value)
        assert server.requests == []
